import errno
from math import inf

import pytest

from probe.core.edges import Family
from probe.core.results import Icmp, Outcome, Result
from probe.core.routes import NO_WAY, Routes
from tests.core.facts import CONNECTED, LOCAL_FAULT, REFUSED, TIMEOUT, UNREACHABLE

SIX, FOUR = Family.IPV6, Family.IPV4


def no_way(error: int = errno.ENETUNREACH) -> Outcome:
    return Outcome(Result.UNREACHABLE, errno=error)


def met(
    routes: Routes, outcome: Outcome, at: float, family: Family = SIX, *, stuck: float = -inf
) -> Result:
    """Of an edge that found no way out since `stuck`, long ago if nothing else is said."""
    return routes.met(family, outcome, at, expected=True, stuck=stuck).result


@pytest.mark.parametrize("error", NO_WAY)
def test_a_family_of_which_no_dial_leaves_has_no_way_out(error: int) -> None:
    routes = Routes(14.0)
    found = routes.met(SIX, no_way(error), 5.0, expected=True, stuck=5.0)

    name = errno.errorcode[error]
    assert (found.result, found.errno) == (Result.LOCAL_FAULT, error)
    assert found.detail == f"our own fault: no way out of this node for IPv6 ({name})"
    assert routes.lacking == {SIX: name}
    assert routes.lost == frozenset(), "it never had one"


@pytest.mark.parametrize("outcome", [CONNECTED, REFUSED, TIMEOUT, UNREACHABLE])
def test_a_dial_that_leaves_speaks_for_its_family_for_a_round(outcome: Outcome) -> None:
    routes = Routes(14.0)
    met(routes, no_way(), 5.0)

    assert met(routes, outcome, 6.0) is outcome.result
    assert routes.lacking == {}
    assert met(routes, no_way(), 19.9) is Result.UNREACHABLE
    assert met(routes, no_way(), 5.0, FOUR) is Result.LOCAL_FAULT
    assert met(routes, no_way(), 20.0) is Result.LOCAL_FAULT
    assert [*routes.lacking] == [FOUR, SIX]


def test_an_edge_without_a_way_is_not_accused_before_another_dial_of_its_family_has_left() -> None:
    routes = Routes(14.0)
    met(routes, CONNECTED, 5.0)
    held = routes.met(SIX, no_way(), 6.0, expected=True, stuck=6.0)

    assert (held.result, held.errno) == (Result.LOCAL_FAULT, errno.ENETUNREACH)
    assert routes.lacking == {}
    assert met(routes, no_way(), 7.0, stuck=6.0) is Result.LOCAL_FAULT
    met(routes, CONNECTED, 7.5)
    assert met(routes, no_way(), 8.0, stuck=6.0) is Result.UNREACHABLE
    assert met(routes, LOCAL_FAULT._replace(errno=errno.EADDRNOTAVAIL), 8.0) is Result.LOCAL_FAULT


def test_a_single_run_waits_for_no_other_dial_of_the_family() -> None:
    routes = Routes(inf)
    met(routes, CONNECTED, 5.0)

    assert met(routes, no_way(), 6.0, stuck=6.0) is Result.UNREACHABLE


def test_a_family_that_had_a_way_out_has_lost_it_until_a_dial_leaves_again() -> None:
    routes = Routes(14.0)
    met(routes, CONNECTED, 5.0)
    met(routes, no_way(), 18.0)
    met(routes, no_way(), 18.0, FOUR)
    assert routes.lost == frozenset()
    met(routes, no_way(), 19.0)
    assert routes.lost == {SIX}
    met(routes, CONNECTED, 30.0)

    assert routes.lost == frozenset()


def test_what_a_router_says_or_another_fault_of_ours_is_no_lack_of_a_route() -> None:
    routes = Routes(14.0)
    router = Outcome(Result.UNREACHABLE, errno=errno.ENETUNREACH, icmp=Icmp(6, 1, 0, "fd00::1"))

    assert met(routes, LOCAL_FAULT, 1.0) is Result.LOCAL_FAULT
    assert met(routes, router, 2.0) is Result.UNREACHABLE
    assert routes.lacking == {}

    routes = Routes(14.0)
    met(routes, no_way(), 1.0)
    met(routes, LOCAL_FAULT, 2.0)
    assert [*routes.lacking] == [SIX], "a dial that was never made did not leave"


def test_7_a_proxy_in_the_socket_layer_tells_nothing_of_routes() -> None:
    routes, failed = Routes(14.0), no_way(errno.EHOSTUNREACH)

    assert routes.met(FOUR, failed, 1.0, expected=False, stuck=1.0) is failed
    assert routes.lacking == {}
