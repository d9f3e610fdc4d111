import errno

import pytest

from probe.core.results import FAILURES, Icmp, Result, classify


def test_a_refusal_without_icmp_is_a_container_that_does_not_listen() -> None:
    assert Result.REFUSED is classify(errno.ECONNREFUSED, None)


def test_a_refusal_with_icmp_is_a_reject_rule_on_the_way() -> None:
    assert Result.REJECTED is classify(errno.ECONNREFUSED, Icmp(4, 3, 3, "10.0.0.254"))


@pytest.mark.parametrize(
    "kind",
    [(4, 3, 3), (4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1), (6, 1, 4), (6, 1, 5), (6, 1, 6)],
)
def test_icmp_of_reject_rules(kind: tuple[int, int, int]) -> None:
    assert Result.REJECTED is classify(errno.EHOSTUNREACH, Icmp(*kind, "10.0.0.254"))


@pytest.mark.parametrize(
    "kind", [(4, 3, 0), (4, 3, 1), (4, 11, 0), (4, 3, 2), (6, 1, 0), (6, 1, 3), (6, 3, 0)]
)
def test_any_other_icmp_is_unreachable(kind: tuple[int, int, int]) -> None:
    assert Result.UNREACHABLE is classify(errno.ECONNREFUSED, Icmp(*kind, "10.0.0.254"))


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (errno.ETIMEDOUT, Result.TIMEOUT),
        (errno.ECONNRESET, Result.RESET),
        (errno.EHOSTUNREACH, Result.UNREACHABLE),
        (errno.ENETUNREACH, Result.UNREACHABLE),
        (errno.EACCES, Result.REJECTED),
    ],
)
def test_errno_decides_when_the_queue_is_empty(error: int, result: Result) -> None:
    assert result is classify(error, None)


@pytest.mark.parametrize(
    "error",
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.EADDRNOTAVAIL,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPERM,
        errno.EINTR,
        0,
    ],
)
def test_34_our_own_faults_and_surprises_never_count_against_an_edge(error: int) -> None:
    assert Result.LOCAL_FAULT is classify(error, None)
    assert classify(error, None) not in FAILURES


def test_the_results_are_a_closed_set() -> None:
    names = "connected refused rejected timeout unreachable reset local_fault invalid_target"

    assert names.split() == [str(result) for result in Result]
