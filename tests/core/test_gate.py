from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.gate import counts_as, verdict_of_all
from probe.core.report import exit_code, worst
from probe.core.verdicts import Verdict

Json = dict[str, Any]


def judged(verdict: str, *, on_purpose: bool = False, starting: bool = False) -> Json:
    return {"verdict": verdict, "on_purpose": on_purpose, "starting": starting}


HEALTHY = judged("healthy")
TO_ZERO = judged("no_endpoints", on_purpose=True)
BY_RULE = judged("unknown", on_purpose=True)
STARTING = judged("no_endpoints", starting=True)

JUDGED = st.builds(
    judged,
    st.sampled_from([str(verdict) for verdict in Verdict]),
    on_purpose=st.booleans(),
    starting=st.booleans(),
)


@pytest.mark.parametrize(
    ("documents", "code"),
    [
        ([], 3),
        ([HEALTHY], 0),
        ([HEALTHY, TO_ZERO, BY_RULE], 0),
        ([HEALTHY, STARTING], 3),
        ([HEALTHY, judged("no_endpoints")], 1),
        ([HEALTHY, judged("unknown")], 3),
        ([TO_ZERO], 3),
        ([BY_RULE], 3),
        ([TO_ZERO, judged("lossy")], 1),
    ],
)
def test_what_a_check_of_these_ends_with(documents: list[Json], code: int) -> None:
    assert exit_code(verdict_of_all(documents)) == code


@pytest.mark.parametrize(
    ("documents", "code"),
    [([HEALTHY], 3), ([judged("lossy")], 1), ([judged("invalid_target")], 2)],
)
def test_where_a_node_is_silent_nothing_is_healthy(documents: list[Json], code: int) -> None:
    assert exit_code(verdict_of_all(documents, silent=True)) == code


def test_an_older_daemon_tells_nothing_of_purposes() -> None:
    assert counts_as({"verdict": "no_endpoints"}) is Verdict.NO_ENDPOINTS


@given(st.lists(JUDGED, max_size=6))
def test_what_is_on_purpose_changes_nothing_beside_what_counts(documents: list[Json]) -> None:
    counted = [d for d in documents if not d["on_purpose"]]
    if counted:
        assert verdict_of_all(documents) is verdict_of_all(counted)
        assert verdict_of_all(counted) is worst(v for d in counted if (v := counts_as(d)))
    else:
        assert verdict_of_all(documents) is Verdict.UNKNOWN
