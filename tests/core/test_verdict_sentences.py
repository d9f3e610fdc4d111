"""What a verdict says of its evidence."""

from typing import Any

import pytest

from probe.core.backing import Backing
from probe.core.evidence import Candidate, Evidence
from probe.core.verdicts import Verdict, judge
from tests.core.facts import workload
from tests.core.judged import ACCEPTS, ALL_REFUSE, ANSWER, HEALTHY, REFUSED, TIMEOUT, summary


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"candidates": (), "backing": Backing((workload(),))},
            ALL_REFUSE + ", and the workload declares no other port",
        ),
        ({"candidates": ()}, ALL_REFUSE),
        (
            {"candidates": (Candidate(9, 0, 2, True),)},
            ALL_REFUSE + " and none of the declared ports (9) accepts",
        ),
        (
            {"candidates": (Candidate(9, 2, 2, False), Candidate(10, 0, 2, True))},
            ALL_REFUSE + "; port 9 accepts, but may be for something else",
        ),
        (
            {"candidates": (Candidate(9, 2, 2, False), Candidate(10, 2, 2, False))},
            ALL_REFUSE + "; ports 9, 10 accept, but may be for something else",
        ),
        (
            {"candidates": (ACCEPTS, Candidate(9, 2, 2, True))},
            ALL_REFUSE + "; declared ports 8080, 9 accept: which one is meant cannot be told",
        ),
        ({"candidates_pending": True}, ALL_REFUSE),
    ],
)
def test_not_listening_says_what_its_candidates_said(facts: dict[str, Any], said: str) -> None:
    assert said == summary(Verdict.NOT_LISTENING, **facts)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"stale_seconds": 130.4},
            "dials fail, but the API server has been away for 130 s: the endpoints may have moved",
        ),
        ({"usable": 0, "new": True}, "a new Service whose endpoints have not been seen yet"),
        ({"dialed": 0, "settling": 2}, "2 of 2 endpoints are new and not judged yet"),
        ({"dialed": 1}, "1 of 2 endpoints dialed so far"),
        ({"dialed": 1, "vips_dialed": 0}, "1 of 2 endpoints dialed so far, the ClusterIP not yet"),
        (
            {"expected": 0, "dialed": 0, "vips": 0, "undialed": 2},
            "endpoints outside of what we may dial: all 2",
        ),
    ],
)
def test_unknown_says_what_is_missing(facts: dict[str, Any], said: str) -> None:
    found = judge(Evidence(**(HEALTHY | facts)))

    assert (Verdict.UNKNOWN, said) == (found.verdict, found.summary)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"backing": Backing(scaled_to_zero=True)}, "no endpoints: its workload is scaled to zero"),
        (
            {"backing": Backing((workload(unplaced=True),), scaled_to_zero=True)},
            "no endpoints: its DaemonSet fits no node",
        ),
        (
            {"backing": Backing(starting=True)},
            "no endpoints yet: the first pods of its workload are starting",
        ),
        *(
            (
                {"has_selector": False, "unresolved": elsewhere},
                "no endpoints: the Service has no selector, "
                "and no EndpointSlice lists an address for this port",
            )
            for elsewhere in (False, True)
        ),
        ({}, "no usable endpoint: no pod that the selector matches is ready"),
    ],
)
def test_1_no_endpoints_says_why(facts: dict[str, Any], said: str) -> None:
    assert said == summary(Verdict.NO_ENDPOINTS, **facts)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"down": (REFUSED,), "details": ("10.0.0.1:80 refused",)},
            "1 of 2 endpoints fail (1 refused): 10.0.0.1:80 refused",
        ),
        (
            {"down": (), "vip_down": (TIMEOUT,), "up": 1},
            "the ClusterIP fails (1 timeout), and 1 of 2 endpoints now and then",
        ),
        (
            {"down": (), "vip_down": (TIMEOUT,), "up": 2, "elsewhere": 3},
            "the ClusterIP fails (1 timeout); 3 of its 5 endpoints are not dialed from here",
        ),
        (
            {
                "down": (),
                "vip_down": (REFUSED,),
                "up": 0,
                "expected": 0,
                "dialed": 0,
                "undialed": 2,
            },
            "the ClusterIP fails (1 refused); 2 of its 2 endpoints are not dialed from here",
        ),
    ],
)
def test_endpoint_down_names_what_fails(facts: dict[str, Any], said: str) -> None:
    assert said == summary(Verdict.ENDPOINT_DOWN, **facts)


def test_rows_that_count_results_say_each_of_them() -> None:
    assert (
        summary(Verdict.BLACKHOLED) == "2 of 2 endpoints do not answer (1 timeout, 1 unreachable)"
    )
    assert (
        summary(Verdict.DENIED, details=("x",)) == "a reject rule answers for 2 of 2 endpoints: x"
    )
    assert (
        summary(Verdict.LOSSY) == "3 of 60 dials of the endpoints in 4 min lost a SYN: "
        "packets are being dropped on the way"
    )
    assert summary(Verdict.INVALID_TARGET) == "endpoint 0.0.0.0:80: zero; it was not dialed"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ANSWER),
        ({"vips": 0}, "2 of 2 endpoints answer"),
        (
            {"undialed": 1},
            ANSWER + ", endpoints outside of what we may dial: 1",
        ),
        ({"expected": 0, "dialed": 0, "up": 0, "vips": 0}, "nothing to dial here"),
    ],
)
def test_healthy_says_what_answers(facts: dict[str, Any], said: str) -> None:
    assert said == summary(Verdict.HEALTHY, **facts)
