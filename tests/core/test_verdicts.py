from itertools import combinations
from typing import Any

import pytest

from probe.core.edges import Kind
from probe.core.evidence import Candidate, Evidence
from probe.core.losses import Lost
from probe.core.results import Result
from probe.core.verdicts import (
    FAILING,
    SEVERITY,
    TABLE,
    UNDECIDED,
    Verdict,
    judge,
)
from tests.core.judged import (
    ACCEPTS,
    ANSWER,
    HEALTHY,
    NODE_B,
    REFUSED,
    REJECTED,
    ROWS,
    TIMEOUT,
    summary,
    verdict,
)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_reached_by_its_own_evidence(row: Verdict) -> None:
    assert row is verdict(row)


@pytest.mark.parametrize(("earlier", "later"), [*combinations(ROWS, 2)])
def test_an_earlier_row_wins_over_a_later_one(earlier: Verdict, later: Verdict) -> None:
    assert earlier is verdict(later, earlier)


def test_the_table_is_in_the_order_of_the_set_and_ends_with_healthy() -> None:
    order = [row[0] for row in TABLE]

    assert order == sorted(order, key=SEVERITY.index)
    assert Verdict.HEALTHY is order[-1]
    assert {Verdict.HEALTHY} == set(Verdict) - FAILING - UNDECIDED


def test_34_a_cluster_ip_that_we_could_not_dial_ourselves_is_our_fault_not_the_services() -> None:
    faulty = {"local_faults": 1, "vip_faults": 1, "vips_dialed": 0}

    assert Verdict.PROBE_FAULT is verdict(**faulty)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.ENDPOINT_DOWN, **faulty)
    assert Verdict.UNKNOWN is verdict(**(faulty | {"vips": 2}))
    assert Verdict.HEALTHY is verdict(**(faulty | {"vips_dialed": 1}))


def test_22_a_way_out_that_was_lost_is_our_own_fault_unless_something_else_fails() -> None:
    lost = {"lost": "IPv6 (ENETUNREACH)", "no_way": "IPv6 (ENETUNREACH)"}

    assert Verdict.PROBE_FAULT is verdict(**lost)
    assert summary(Verdict.PROBE_FAULT, **lost) == (
        "the prober itself could not dial: this node has lost its way out for IPv6 (ENETUNREACH)"
    )
    for row in (Verdict.INVALID_TARGET, Verdict.NOT_LISTENING, Verdict.PROXY_STALE):
        assert row is verdict(row, **lost)


def test_what_is_not_one_services_alone_names_its_cause() -> None:
    def cause(row: Verdict) -> str:
        return judge(Evidence(**(HEALTHY | ROWS[row] | {"node": "a"}))).cause

    assert {row: cause(row) for row in ROWS if cause(row)} == {
        Verdict.PROBE_FAULT: "self/a",
        Verdict.NODE_PATH: "node/b",
        Verdict.PROXY_STALE: "proxy/a",
    }


def test_node_path_says_what_fails_and_what_it_shares() -> None:
    assert summary(Verdict.NODE_PATH) == (f"1 of 2 endpoints fail (1 timeout): {NODE_B}")
    assert summary(Verdict.NODE_PATH, down=(), vip_down=(TIMEOUT,)) == (
        f"the ClusterIP fails (1 timeout): {NODE_B}"
    )


def test_a_proxy_that_does_not_follow_is_no_drain_race_for_ever() -> None:
    assert Verdict.DRAIN_RACE is verdict(drain_failures=9, vip_late=(REFUSED,))
    assert Verdict.PROXY_STALE is verdict(drain_failures=9, vip_down=(REFUSED,))
    assert Verdict.DRAIN_RACE is verdict(drain_failures=9)


def test_39_a_cluster_ip_that_kube_proxy_may_yet_follow_is_not_known() -> None:
    late = {"vip_late": (REFUSED,)}

    assert Verdict.UNKNOWN is verdict(**late)
    assert summary(Verdict.HEALTHY, **late) == (
        "2 of 2 endpoints dialed so far, the ClusterIP fails as yet (1 refused)"
    )
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.ENDPOINT_DOWN, **late)
    assert Verdict.PROXY_STALE is verdict(Verdict.PROXY_STALE, **late)


@pytest.mark.parametrize(
    "down", [(TIMEOUT, TIMEOUT), (REFUSED, REFUSED), (REJECTED, TIMEOUT)], ids=repr
)
def test_26_a_policy_that_leaves_us_out_explains_every_kind_of_failure(
    down: tuple[Result, ...],
) -> None:
    facts: dict[str, Any] = {"down": down, "up": 0, "policies": ("deny-all",)}

    assert Verdict.DENIED is verdict(**facts)
    assert "NetworkPolicy deny-all selects the pods and does not admit the prober" in summary(
        Verdict.DENIED, **facts
    )
    assert "NetworkPolicies a and b selects" not in summary(Verdict.DENIED, **facts)
    assert "NetworkPolicies a and b" in summary(Verdict.DENIED, down=down, policies=("a", "b"))


def test_26_a_policy_does_not_hide_a_pod_that_fails_among_others_that_answer() -> None:
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.ENDPOINT_DOWN, policies=("deny-all",))


def test_23_behind_a_mesh_success_proves_nothing_and_failure_does() -> None:
    assert Verdict.UNKNOWN is verdict(Verdict.MASKED, dialed=0, up=0, vips_dialed=0)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.MASKED, Verdict.ENDPOINT_DOWN)
    assert summary(Verdict.MASKED) == (
        f"{ANSWER}, but the istio mesh accepts every port: that proves nothing"
    )


def test_a_proxy_is_stale_only_where_the_endpoints_behind_it_answer() -> None:
    none_up = {"up": 0, "dialed": 0, "expected": 2, "settling": 2}

    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PROXY_STALE, failing_new=1)
    assert summary(Verdict.PROXY_STALE, failing_new=1) == (
        "the ClusterIP fails (1 timeout), and of the 2 endpoints 1 that came lately"
    )
    assert Verdict.UNKNOWN is verdict(Verdict.PROXY_STALE, **none_up)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PROXY_STALE, up=0, expected=0, dialed=0)


def test_a_failing_pod_among_many_that_others_dial_is_not_all_of_them() -> None:
    """Of six endpoints this node dials one or two: that these fail says nothing of the others."""
    one = {"expected": 1, "dialed": 1, "up": 0, "elsewhere": 5}
    two = {"expected": 2, "dialed": 2, "up": 0, "elsewhere": 4}
    mismatch = {"candidates": (ACCEPTS,)}

    assert Verdict.ENDPOINT_DOWN is verdict(down=(REFUSED,), **one, **mismatch)
    assert Verdict.ENDPOINT_DOWN is verdict(down=(REFUSED, REFUSED), **two, **mismatch)
    assert Verdict.ENDPOINT_DOWN is verdict(down=(TIMEOUT,), **one)
    everything: dict[str, Any] = {"down": (REFUSED, REFUSED), "vip_down": (REFUSED,)}
    assert Verdict.PORT_MISMATCH is verdict(**everything, **two, **mismatch)
    assert Verdict.PORT_MISMATCH is verdict(down=(REFUSED, REFUSED), **two, **mismatch, vips=0)
    assert summary(Verdict.ENDPOINT_DOWN, down=(REFUSED,), **one) == (
        "1 of 1 endpoints fail (1 refused), others dial 5 more"
    )


def test_a_node_that_was_given_up_explains_that_nothing_is_usable() -> None:
    facts: dict[str, Any] = {"usable": 0, "cause": "node/b", "shared": "node b is not ready"}

    assert Verdict.NODE_PATH is verdict(Verdict.NO_ENDPOINTS, **facts)
    assert summary(Verdict.NO_ENDPOINTS, **facts) == "no usable endpoint: node b is not ready"


def test_port_mismatch_says_what_to_do() -> None:
    said = judge(Evidence(**(HEALTHY | ROWS[Verdict.PORT_MISMATCH])))

    assert said.port == 8080
    assert said.summary == (
        "targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts: set targetPort to 8080"
    )


@pytest.mark.parametrize(
    "candidates",
    [
        (ACCEPTS, Candidate(9090, 2, 2, True)),
        (Candidate(8080, 1, 2, True),),
        (Candidate(8080, 0, 0, True),),
        (Candidate(8080, 2, 2, False),),
    ],
    ids=["two accept", "one endpoint refuses it", "not dialed", "auxiliary or another port's"],
)
def test_unless_exactly_one_eligible_candidate_accepts_nothing_is_advised(
    candidates: tuple[Candidate, ...],
) -> None:
    assert Verdict.NOT_LISTENING is verdict(Verdict.PORT_MISMATCH, candidates=candidates)


def test_port_mismatch_takes_all_dialed_endpoints_and_at_least_two_of_many() -> None:
    mixed = (REFUSED, TIMEOUT)

    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PORT_MISMATCH, down=mixed)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PORT_MISMATCH, down=(REFUSED,), up=1)
    assert Verdict.UNKNOWN is verdict(Verdict.PORT_MISMATCH, down=(REFUSED,), dialed=1)
    assert Verdict.PORT_MISMATCH is verdict(Verdict.PORT_MISMATCH, expected=3)
    single = {"usable": 1, "expected": 1, "dialed": 1, "down": (REFUSED,)}
    assert Verdict.PORT_MISMATCH is verdict(Verdict.PORT_MISMATCH, **single)


def test_2_no_endpoints_is_told_by_the_slices_whatever_the_dials_met() -> None:
    assert Verdict.NO_ENDPOINTS is verdict(Verdict.NO_ENDPOINTS, vip_down=(TIMEOUT,), vips=0)


def test_34_our_own_fault_explains_nothing_where_nothing_was_to_be_dialed() -> None:
    empty = {"usable": 0, "expected": 0, "dialed": 0, "vips": 0, "vips_dialed": 0}

    assert Verdict.NO_ENDPOINTS is verdict(local_faults=1, **empty)
    assert (
        summary(Verdict.PROBE_FAULT, local_fault_detail="no descriptors")
        == "the prober itself could not dial: no descriptors"
    )


def test_drain_race_needs_endpoints_in_use_that_all_answer() -> None:
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.ENDPOINT_DOWN, drain_failures=3)
    assert "3 dials failed while endpoints were being removed" in summary(Verdict.DRAIN_RACE)


def test_31_the_proxy_is_accused_only_when_every_endpoint_is_known_to_answer() -> None:
    assert Verdict.PROXY_STALE is verdict(Verdict.PROXY_STALE)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PROXY_STALE, up=1)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PROXY_STALE, elsewhere=1)
    assert Verdict.PROXY_STALE is verdict(Verdict.PROXY_STALE, elsewhere=1, proxy="as others do")
    assert Verdict.ENDPOINT_DOWN is verdict(
        Verdict.PROXY_STALE, elsewhere=1, proxy="as others do", failing_new=1
    )
    assert Verdict.ENDPOINT_DOWN is verdict(
        Verdict.PROXY_STALE, elsewhere=1, proxy="as others do", up=1
    )
    assert summary(Verdict.PROXY_STALE).startswith(
        "2 of 2 endpoints answer, the ClusterIP does not (1 timeout)"
    )


AT_VIP = Lost(Kind.SERVICE, 30, 4, 0, 1200.0)


@pytest.mark.parametrize(
    ("lost", "elsewhere", "said"),
    [
        (
            Lost(Kind.ENDPOINT, 60, 3, 1, 240.0),
            0,
            "3 of 60 dials of the endpoints in 4 min never connected, 1 lost a SYN: "
            "callers meet that as well",
        ),
        (
            AT_VIP,
            0,
            "4 of 30 dials of the ClusterIP in 20 min never connected, 0 lost a SYN: "
            "kube-proxy's rules may hold an endpoint that is gone",
        ),
        (
            AT_VIP,
            8,
            "4 of 30 dials of the ClusterIP in 20 min never connected, 0 lost a SYN; "
            "8 of its 10 endpoints are not dialed from here",
        ),
    ],
)
def test_31_33_what_is_lost_is_told_with_what_it_may_be(
    lost: Lost, elsewhere: int, said: str
) -> None:
    assert said == summary(Verdict.LOSSY, lossy=lost, elsewhere=elsewhere)


@pytest.mark.parametrize("elsewhere", [0, 8])
def test_31_a_cluster_ip_that_fails_now_and_then_is_down_once_it_has_not_connected_for_long(
    elsewhere: int,
) -> None:
    rows, others = (Verdict.PROXY_STALE, Verdict.LOSSY), {"elsewhere": elsewhere}
    down = verdict(Verdict.PROXY_STALE, **others)

    assert down is verdict(*rows, lossy=AT_VIP, vip_failing=30.1, **others)
    assert Verdict.LOSSY is verdict(*rows, lossy=AT_VIP, vip_failing=30.0, **others)
    assert down is verdict(*rows, vip_failing=30.0, **others)


def test_31_an_endpoint_that_fails_again_and_again_is_down_though_it_answers() -> None:
    flapping: dict[str, Any] = {"unsteady": 1, "details": ("10.0.0.1:8080",)}

    assert Verdict.ENDPOINT_DOWN is verdict(**flapping)
    assert Verdict.ENDPOINT_DOWN is verdict(Verdict.PROXY_STALE, **flapping)
    assert Verdict.ENDPOINT_DOWN is verdict(vip_late=(TIMEOUT,), **flapping)
    assert summary(Verdict.HEALTHY, **flapping) == (
        "1 of 2 endpoints fail again and again: 10.0.0.1:8080"
    )


def test_evidence_is_pending_while_dials_under_way_decide_it() -> None:
    assert not Evidence().pending
    assert Evidence(candidates_pending=True).pending
    assert Evidence(undecided=1).pending
    assert Evidence(undecided=1, drain_failures=1).pending
