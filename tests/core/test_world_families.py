"""Dual stack: one family may have no way from here, or no endpoint at all."""

import errno
from dataclasses import replace

import pytest

from probe.core.advice import advice
from probe.core.edges import EndpointSlice, Family, Kind, SlicePort
from probe.core.results import Outcome, Result
from probe.core.rounds import Config, Dial
from probe.core.workloads import Workload
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    NODE,
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
    VIP,
    Answer,
    Story,
    answers,
    endpoint,
    everything_connects,
    port,
    service,
    slice_of,
    workload,
)

VIP6 = "fd00::10"
DUAL = service(ips=(VIP, VIP6))
ONLY6 = service(ips=(VIP6,))
FOUR = slice_of("10.0.0.1")
SIX = slice_of("fd00:1::1", name="backend-v1-6", address_type="IPv6")
NO_ROUTE = Outcome(
    Result.UNREACHABLE,
    errno=errno.ENETUNREACH,
    detail="no way from this node: Network is unreachable (ENETUNREACH)",
)
NO_IPV6 = "IPv6 is not judged: this node has no way out for it (ENETUNREACH)"


def by_family(six: Outcome) -> Answer:
    return lambda dial, now: six if dial.edge.family is Family.IPV6 else CONNECTED


@pytest.mark.parametrize("pods", [1, 2])
def test_22_a_family_without_a_route_from_here_is_our_fault_and_the_other_one_is_judged(
    pods: int,
) -> None:
    four = slice_of(*(f"10.0.0.{n}" for n in range(1, pods + 1)))
    six = replace(SIX, endpoints=tuple(endpoint(f"fd00:1::{n}") for n in range(1, pods + 1)))
    story = Story(answer=by_family(NO_ROUTE)).listed([DUAL], [four, six]).run(60)

    assert story.verdicts() == ["healthy"]
    assert story.summary() == f"{pods} of {pods} endpoints answer, the ClusterIP answers; {NO_IPV6}"
    results = {
        (kind, family, result)
        for _, book in story.world.books()
        for kind, family, result, _ in book.counts
    }
    assert {r for _, family, r in results if family is Family.IPV6} == {Result.LOCAL_FAULT}


def test_22_what_has_no_other_family_is_not_accused_but_ourselves() -> None:
    story = Story(answer=by_family(NO_ROUTE)).listed([ONLY6], [SIX]).run(60)

    assert story.verdicts() == ["probe_fault"]
    assert story.judged().cause == f"self/{NODE}"
    assert "(ENETUNREACH)" in story.summary()


def test_22_the_other_family_is_accused_as_ever() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return NO_ROUTE if dial.edge.family is Family.IPV6 else TIMEOUT

    story = Story(answer=answer).listed([DUAL], [FOUR, SIX]).run(60)

    assert story.verdicts()[-1] == "blackholed"
    assert story.summary().endswith(NO_IPV6)


def test_22_a_single_run_says_the_same() -> None:
    story = Story(Config(NODE, once=True), answer=by_family(NO_ROUTE))
    story.listed([DUAL], [FOUR, SIX]).run(1)

    assert story.verdict() == "healthy"
    assert story.summary() == f"1 of 1 endpoints answer, the ClusterIP answers; {NO_IPV6}"


@pytest.mark.parametrize("once", [True, False])
def test_22_where_one_dial_of_the_family_leaves_the_others_have_no_such_excuse(once: bool) -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return NO_ROUTE if dial.edge.address == "fd00:1::1" else CONNECTED

    story = Story(Config(NODE, once=once), answer=answer).listed([DUAL], [FOUR, SIX]).run(30)
    while once and story.world.undecided():
        story.world.confirm(story.now)
        story.run(1)

    assert story.verdict() == "endpoint_down"
    assert story.summary().startswith("1 of 2 endpoints fail (1 unreachable), all of them IPv6")


def test_22_what_a_router_says_is_no_route_of_ours() -> None:
    story = Story(answer=by_family(UNREACHABLE)).listed([DUAL], [FOUR, SIX]).run(60)

    assert story.verdict() == "endpoint_down"


LOST = "the prober itself could not dial: this node has lost its way out for IPv6 (ENETUNREACH)"


def test_22_a_route_that_is_lost_while_we_run_is_our_fault_within_a_round() -> None:
    story = everywhere()
    story.store(service(name="four", uid="four", ips=("10.96.1.1",)))
    story.store(slice_of("10.1.1.1", service="four"), replace(ONLY6, name="six"))
    story.store(replace(SIX, service="six"))
    story.run(60)
    at = story.now
    story.answer = by_family(NO_ROUTE)
    story.run(120)

    assert told(story, at) == {("probe_fault", f"self/{NODE}")}
    changed = [turn.key.service for turn in story.turns if turn.at >= at]
    assert sorted(changed) == [*NAMES, "six"], "each once"
    assert {story.summary(KEY._replace(service=name)) for name in changed} == {LOST}
    assert all(turn.at - at <= 14 + 10 for turn in story.turns if turn.at >= at)

    at = story.now
    story.answer = everything_connects
    story.run(60)
    assert told(story, at) == {("healthy", "")}


@pytest.mark.parametrize("seconds", [3, 12])
def test_22_a_route_that_is_lost_for_a_moment_accuses_nobody(seconds: float) -> None:
    story = everywhere()
    at = story.now
    story.answer = by_family(NO_ROUTE)
    story.run(seconds)
    story.answer = everything_connects
    story.run(60)

    assert told(story, at) == set()


def test_22_a_missing_route_to_one_pod_is_told_as_soon_as_others_have_left() -> None:
    story = everywhere()
    at = story.now
    story.answer = answers(at_fd00_0__0=NO_ROUTE)
    story.run(30)

    (turn,) = (turn for turn in story.turns if turn.at >= at)
    assert (turn.key.service, str(turn.new.verdict)) == ("s0", "endpoint_down")
    assert turn.at - at <= 10 + 5


def test_22_a_dial_under_way_to_a_pod_that_goes_with_its_route_is_our_own_affair() -> None:
    story, dials = Story().listed([DUAL], [FOUR, SIX]).run(60), list[Dial]()
    while not dials:
        story.now += 0.1
        dials = [d for d in story.world.due(story.now, 100) if d.edge.address == "fd00:1::1"]
    story.store(replace(SIX, endpoints=()))
    story.world.record([(dial, NO_ROUTE) for dial in dials], story.now)

    ((_, book),) = story.world.books()
    met = {result for _, family, result, _ in book.counts if family is Family.IPV6}
    assert met == {Result.CONNECTED, Result.LOCAL_FAULT}


def test_22_a_lost_family_hides_no_failure_of_the_other_one() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return NO_ROUTE if dial.edge.family is Family.IPV6 else REFUSED

    story = Story().listed([DUAL], [FOUR, SIX]).run(60)
    story.answer = answer
    story.run(60)

    assert story.verdict() == "not_listening"
    assert story.summary().endswith(NO_IPV6)


def test_22_a_route_that_comes_back_is_used_at_once() -> None:
    story = Story(answer=by_family(NO_ROUTE)).listed([DUAL], [FOUR, SIX]).run(60)
    story.answer = everything_connects
    story.run(15)

    assert story.verdicts() == ["healthy"]
    assert story.summary() == "2 of 2 endpoints answer, the ClusterIP answers"


def test_22_a_family_without_a_route_is_not_dialed_more_often_than_others() -> None:
    story = Story(answer=by_family(NO_ROUTE)).listed([DUAL], [FOUR, SIX]).run(30)
    since = story.now
    story.run(60)

    dialed = [d.edge.family for d in story.dials_since(since)]
    assert dialed.count(Family.IPV6) <= dialed.count(Family.IPV4) + 2


# The way to another node.

NAMES = tuple(f"s{number}" for number in range(4))
NODES = ("node-b", "node-c", "node-d")


def everywhere() -> Story:
    """Dual-stack Services, each with a pod on each of these nodes."""
    services, slices = [], []
    for i, name in enumerate(NAMES):
        services.append(service(name=name, uid=name, ips=(f"10.96.0.{i}", f"fd00:96::{i}")))
        four = [
            endpoint(f"10.{j}.0.{i}", node=node, pod=f"p{i}{j}") for j, node in enumerate(NODES)
        ]
        six = [
            endpoint(f"fd00:{j}::{i}", node=node, pod=f"p{i}{j}") for j, node in enumerate(NODES)
        ]
        slices.append(slice_of(*four, service=name, name=f"{name}-4"))
        slices.append(slice_of(*six, service=name, name=f"{name}-6", address_type="IPv6"))
    return Story().listed(services, slices).run(60)


def lost(story: Story, *prefixes: str) -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address.startswith(prefixes) else CONNECTED

    story.answer = answer if prefixes else everything_connects


def told(story: Story, since: float) -> set[tuple[str, str]]:
    return {(str(t.new.verdict), t.new.cause) for t in story.turns if t.at >= since}


@pytest.mark.parametrize("seconds", [20, 70])
def test_22_a_node_that_no_longer_answers_in_one_family_is_one_cause(seconds: float) -> None:
    story = everywhere()
    at = story.now
    lost(story, "fd00:0:")
    story.run(seconds)
    if seconds > 60:
        assert told(story, at) == {("node_path", "node/node-b")}
        assert story.summary(KEY._replace(service="s0")) == (
            "1 of 6 endpoints fail (1 timeout), all of them IPv6: "
            "nothing on node node-b answers by IPv6, for 4 Services"
        )

    lost(story)
    story.run(60)
    assert told(story, at) <= {("node_path", "node/node-b"), ("healthy", "")}
    assert {story.verdict(KEY._replace(service=name)) for name in NAMES} == {"healthy"}


def test_22_a_node_whose_families_come_back_one_after_the_other_blames_no_service() -> None:
    story = everywhere()
    at = story.now
    lost(story, "fd00:0:", "10.0.")
    story.run(60)
    lost(story, "fd00:0:")
    story.run(40)
    assert story.summary(KEY._replace(service="s0")).endswith("by IPv6, for 4 Services")
    lost(story)
    story.run(40)

    assert told(story, at) == {("node_path", "node/node-b"), ("healthy", "")}


def test_22_when_no_other_node_answers_in_one_family_our_own_is_named() -> None:
    story = everywhere()
    lost(story, "fd00:0:", "fd00:1:", "fd00:2:")
    story.run(70)

    judged = story.judged(KEY._replace(service="s0"))
    assert judged.cause == f"node/{NODE}"
    assert judged.summary.endswith(
        "nothing on the 3 other nodes answers node node-a by IPv6, for 4 Services"
    )


def test_22_one_pod_silent_in_one_family_is_its_own_trouble() -> None:
    story = everywhere()
    lost(story, "fd00:0::0")
    story.run(40)

    assert story.verdict(KEY._replace(service="s0")) == "endpoint_down"
    assert story.verdict(KEY._replace(service="s1")) == "healthy"


# The other way round: the ClusterIP of one family leads nowhere.

WRONG = (SlicePort("http", 8081, "TCP"),)
EMPTY = "the IPv6 ClusterIP has no endpoints: callers by IPv6 are refused"


@pytest.mark.parametrize("six", [(), (replace(SIX, endpoints=()),)])
def test_22_a_cluster_ip_whose_family_has_no_endpoint_is_told(
    six: tuple[EndpointSlice, ...],
) -> None:
    story = Story().listed([DUAL], [FOUR, *six]).run(60)

    assert story.verdicts() == ["healthy", "endpoint_down"], "its slices may come late"
    assert story.summary() == f"1 of 1 endpoints answer, the IPv4 ClusterIP answers, but {EMPTY}"


def test_22_a_family_that_loses_its_endpoints_for_a_moment_alarms_nobody() -> None:
    story = Story().listed([DUAL], [FOUR, SIX]).run(60)
    story.store(replace(SIX, endpoints=()))
    story.run(1)
    story.store(SIX)

    assert story.run(30).verdicts() == ["healthy"]


def test_22_a_new_service_may_have_one_family_first() -> None:
    story = Story().listed()
    story.run(5).store(DUAL, FOUR)
    story.run(10).store(SIX)

    assert "endpoint_down" not in story.run(30).verdicts()


def test_22_an_empty_family_hides_no_worse_failure() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address in broken else CONNECTED

    broken = {"10.0.0.1"}
    assert Story(answer=answer).listed([DUAL], [FOUR]).run(60).verdict() == "blackholed"
    broken = {VIP}
    story = Story(answer=answer).listed([DUAL], [FOUR]).run(60)
    assert story.verdict() == "proxy_stale"


def test_22_both_families_without_endpoints_are_no_endpoints() -> None:
    assert Story().listed([DUAL], []).run(60).verdict() == "no_endpoints"


def test_22_a_headless_service_has_no_cluster_ip_that_could_be_empty() -> None:
    assert Story().listed([service(ips=())], [FOUR]).run(60).verdict() == "healthy"


def test_22_what_is_scaled_to_zero_is_not_half_empty() -> None:
    behind: tuple[Workload, ...] = (workload(replicas=0),)
    story = Story().listed([DUAL], [], behind).run(60)

    assert (story.verdict(KEY), story.judged().on_purpose) == ("no_endpoints", True)


def test_22_where_one_family_fails_its_name_is_told() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        six = dial.edge.family is Family.IPV6
        return TIMEOUT if six and dial.edge.kind is kind else CONNECTED

    kind = Kind.ENDPOINT
    story = Story(answer=answer).listed([DUAL], [FOUR, SIX]).run(60)
    assert story.summary().startswith("1 of 2 endpoints fail (1 timeout), all of them IPv6")

    kind = Kind.SERVICE
    story = Story(answer=answer).listed([DUAL], [FOUR, SIX]).run(60)
    assert "the IPv6 ClusterIP does not (1 timeout)" in story.summary()


def test_22_a_wrong_target_port_is_found_by_the_family_that_has_a_route() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.family is Family.IPV6:
            return NO_ROUTE
        return CONNECTED if dial.edge.dial_port == 8080 else REFUSED

    slices = replace(FOUR, ports=WRONG), replace(SIX, ports=WRONG)
    dual = replace(DUAL, ports=(port(target=8081),))
    story = Story(answer=answer).listed([dual], slices, [workload(DECLARED_8080)]).run(60)

    assert story.verdict() == "port_mismatch"


def test_22_an_empty_family_is_advised_on_unless_endpoints_fail_as_well() -> None:
    def advised(story: Story) -> tuple[str, ...]:
        ((_, book),) = story.world.books()
        return advice(DUAL, book)

    (half,) = advised(Story().listed([DUAL], [FOUR]).run(60))
    assert half.startswith("see whether the pods have IPv6 addresses: kubectl get pods -n demo-app")

    two = slice_of("10.0.0.1", "10.0.0.2")
    story = Story(answer=answers(at_10_0_0_2=REFUSED)).listed([DUAL], [two]).run(60)
    assert story.verdict() == "endpoint_down"
    assert advised(story)[0].startswith("look at the failing pods")
