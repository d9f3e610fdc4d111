"""Evidence for each row of the table of verdicts, and what is said of it."""

from typing import Any

from probe.core.edges import Kind
from probe.core.evidence import Candidate, Evidence
from probe.core.losses import Lost
from probe.core.results import Result
from probe.core.verdicts import Verdict, judge

REFUSED, REJECTED, TIMEOUT = Result.REFUSED, Result.REJECTED, Result.TIMEOUT
HEALTHY: dict[str, Any] = {
    "target_port": "8081",
    "usable": 2,
    "expected": 2,
    "dialed": 2,
    "up": 2,
    "vips": 1,
    "vips_dialed": 1,
}
ALL_REFUSE = "targetPort 8081 is refused on 2 of 2 endpoints"
ANSWER = "2 of 2 endpoints answer, the ClusterIP answers"
ACCEPTS = Candidate(8080, accepted=2, dialed=2, eligible=True)
NODE_B = "nothing on node b answers"
ROWS: dict[Verdict, dict[str, Any]] = {
    Verdict.PROBE_FAULT: {"local_faults": 1, "dialed": 0, "up": 0, "vips_dialed": 0},
    Verdict.UNKNOWN: {"stale_seconds": 130.0},
    Verdict.INVALID_TARGET: {"invalid": ("endpoint 0.0.0.0:80: zero",)},
    Verdict.NODE_PATH: {
        "cause": "node/b",
        "shared": "nothing on node b answers",
        "down": (TIMEOUT,),
    },
    Verdict.NO_ENDPOINTS: {"usable": 0},
    Verdict.DRAIN_RACE: {"drain_failures": 3, "down": (), "vip_down": ()},
    Verdict.PORT_MISMATCH: {"down": (REFUSED, REFUSED), "up": 0, "candidates": (ACCEPTS,)},
    Verdict.NOT_LISTENING: {"down": (REFUSED, REFUSED), "up": 0, "candidates": ()},
    Verdict.DENIED: {"down": (REJECTED, REJECTED), "up": 0},
    Verdict.BLACKHOLED: {"down": (TIMEOUT, Result.UNREACHABLE), "up": 0},
    Verdict.ENDPOINT_DOWN: {"down": (REFUSED,), "up": 1},
    Verdict.PROXY_STALE: {"down": (), "vip_down": (TIMEOUT,)},
    Verdict.LOSSY: {"lossy": Lost(Kind.ENDPOINT, 60, 0, 3, 240.0)},
    Verdict.MASKED: {"mesh": "istio"},
    Verdict.HEALTHY: {},
}


def verdict(*rows: Verdict, **facts: Any) -> Verdict:
    merged = dict(HEALTHY)
    for row in rows:
        merged |= ROWS[row]
    return judge(Evidence(**(merged | facts))).verdict


def summary(row: Verdict, **facts: Any) -> str:
    return judge(Evidence(**(HEALTHY | ROWS[row] | facts))).summary
