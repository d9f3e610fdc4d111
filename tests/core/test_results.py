import errno

import pytest

from probe.core.results import FAILURES, Icmp, Outcome, Result, classify, refused_by_proxy


def test_a_refusal_without_icmp_is_a_container_that_does_not_listen() -> None:
    assert Result.REFUSED is classify(errno.ECONNREFUSED, None)


def test_a_refusal_with_icmp_is_a_reject_rule_on_the_way() -> None:
    assert Result.REJECTED is classify(errno.ECONNREFUSED, Icmp(4, 3, 3, "10.0.0.254"))


def test_a_refusal_at_once_is_a_rule_of_this_node_since_no_packet_left() -> None:
    assert Result.REJECTED is classify(errno.ECONNREFUSED, None, at_once=True)


@pytest.mark.parametrize(
    "kind",
    [(4, 3, 3), (4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1), (6, 1, 4), (6, 1, 5), (6, 1, 6)],
)
def test_icmp_of_reject_rules(kind: tuple[int, int, int]) -> None:
    assert Result.REJECTED is classify(errno.EHOSTUNREACH, Icmp(*kind, "10.0.0.254"))


@pytest.mark.parametrize(
    "kind",
    [
        *((4, 3, 0), (4, 3, 1), (4, 3, 2), (4, 3, 5), (4, 11, 0), (4, 12, 0)),
        *((6, 1, 0), (6, 1, 2), (6, 1, 3), (6, 3, 0), (6, 4, 0)),
    ],
)
def test_any_other_icmp_is_unreachable(kind: tuple[int, int, int]) -> None:
    assert Result.UNREACHABLE is classify(errno.ECONNREFUSED, Icmp(*kind, "10.0.0.254"))


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (errno.ETIMEDOUT, Result.TIMEOUT),
        (errno.ECONNRESET, Result.RESET),
        (errno.EPIPE, Result.RESET),
        (errno.EHOSTUNREACH, Result.UNREACHABLE),
        (errno.ENETUNREACH, Result.UNREACHABLE),
        (errno.EHOSTDOWN, Result.UNREACHABLE),
        (errno.ENONET, Result.UNREACHABLE),
        (errno.ENOPROTOOPT, Result.UNREACHABLE),
        (errno.EOPNOTSUPP, Result.UNREACHABLE),
        (errno.EPROTO, Result.UNREACHABLE),
        (errno.EACCES, Result.REJECTED),
    ],
)
def test_errno_decides_when_the_queue_is_empty(error: int, result: Result) -> None:
    assert result is classify(error, None)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (errno.EHOSTUNREACH, Result.UNREACHABLE),
        (errno.ENETUNREACH, Result.UNREACHABLE),
        (errno.ENETDOWN, Result.UNREACHABLE),
        (errno.EINVAL, Result.UNREACHABLE),
        (errno.EACCES, Result.REJECTED),
    ],
)
def test_a_route_of_this_node_decides_at_once(error: int, result: Result) -> None:
    assert result is classify(error, None, at_once=True)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EAFNOSUPPORT,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPERM,
        errno.EINTR,
        0,
    ],
)
def test_34_our_own_faults_and_surprises_never_count_against_an_edge(
    error: int, at_once: bool
) -> None:
    assert Result.LOCAL_FAULT is classify(error, None, at_once=at_once)
    assert Result.LOCAL_FAULT not in FAILURES


@pytest.mark.parametrize("error", [errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPROTO])
def test_34_what_only_icmp_says_is_a_surprise_of_ours_at_once(error: int) -> None:
    assert Result.LOCAL_FAULT is classify(error, None, at_once=True)


def test_eperm_of_a_cluster_ip_that_leads_nowhere_is_the_proxys_rejection() -> None:
    found = refused_by_proxy(Outcome(Result.LOCAL_FAULT, errno=errno.EPERM), unsure=True)

    assert (found.result, found.errno) == (Result.REJECTED, errno.EPERM)


def test_a_rst_of_a_cluster_ip_that_leads_nowhere_is_the_proxys_rejection() -> None:
    rst = Outcome(Result.REFUSED, errno=errno.ECONNREFUSED)

    assert refused_by_proxy(rst, unsure=False).result is Result.REJECTED
    assert refused_by_proxy(rst, unsure=True) == rst


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Result.LOCAL_FAULT, errno=errno.EMFILE),
        Outcome(Result.REJECTED, icmp=Icmp(4, 3, 3, "10.0.0.254"), errno=errno.ECONNREFUSED),
        Outcome(Result.CONNECTED, 0.001),
    ],
)
def test_any_other_outcome_of_such_a_cluster_ip_stays(outcome: Outcome) -> None:
    assert refused_by_proxy(outcome, unsure=False) == outcome


def test_the_results_are_a_closed_set() -> None:
    names = "connected refused rejected timeout unreachable reset local_fault invalid_target"

    assert names.split() == [str(result) for result in Result]
