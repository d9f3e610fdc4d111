"""What a node says of a Service, for those who merge it."""

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from probe.core.verdicts import Verdict

Json = dict[str, Any]

NOON = "2026-11-20T12:00:00Z"
EDIT = "port 80: targetPort 8080 -> 8081"
UNSEEN = "last written with ports 80 (targetPort 8081); earlier values were not seen"

VERDICTS = st.sampled_from([str(verdict) for verdict in Verdict])


def edge(node: str, address: str = "10.0.0.1", kind: str = "endpoint", **more: object) -> Json:
    known = {"kind": kind, "address": address, "port": 8080, "family": "ipv4", "state": "up"}
    return {"from": node, **known, **more}


def told(
    node: str,
    verdict: str = "healthy",
    summary: str = "",
    *,
    port: int = 80,
    edges: Iterable[Json] = (),
    changes: Iterable[Json] = (),
    advice: Iterable[str] = (),
    **more: object,
) -> Json:
    """What one node says of a Service with one port."""
    judged = {
        "verdict": verdict,
        "summary": summary or f"it is {verdict}",
        "on_purpose": False,
        "starting": False,
    }
    shown = list(edges) or [edge(node, "10.96.0.1", "service"), edge(node)]
    return {
        "service": {"namespace": "shop", "name": "cart"},
        "spec": None,
        "sources": [{"node": node, "vantage": "pod"}],
        **judged,
        "skipped": [],
        "dialed": 3,
        "expected": 3,
        "ports": [{"name": "http", "port": port, "target_port": 8080, **judged, "edges": shown}],
        "change": None,
        "seconds_before": None,
        "changes": list(changes),
        "warnings": [],
        "advice": list(advice),
        **more,
    }


def change(time: str = NOON, detail: str = EDIT, kind: str = "service_edit") -> Json:
    return {
        "time": time,
        "kind": kind,
        "object": "Service shop/cart",
        "by": "kubectl",
        "detail": detail,
    }
