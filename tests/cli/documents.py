"""Documents of Services as `probe check -o json` prints them, for tests of what is shown."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

NODES = ("node-a", "node-b", "node-c")


def edge(
    address: str = "10.244.1.5", result: str | None = "connected", **changes: Any
) -> dict[str, Any]:
    """One edge of kind endpoint; its state follows from its result unless said otherwise."""
    connected = result == "connected"
    state = "unknown" if result is None else "up" if connected else "down"
    return {
        "from": NODES[0],
        "kind": "endpoint",
        "address": address,
        "port": 8080,
        "family": "ipv6" if ":" in address else "ipv4",
        "pod": f"backend-v1-6946cbff4c-{address[-1]}xcdz",
        "node": "node-1",
        "state": state,
        "result": result,
        "connect_seconds": 0.0004 if connected else None,
        "syn_retransmits": 0,
        "icmp": None,
        **changes,
    }


def vip(result: str | None = "connected", **changes: Any) -> dict[str, Any]:
    """The ClusterIP."""
    kind = {"address": "10.96.1.2", "kind": "service", "pod": None, "node": None}
    return edge(result=result, **{**kind, **changes})


def port(*edges: Json, verdict: str = "healthy", summary: str = "all is well", **more: Any) -> Json:
    return {
        "name": "http",
        "port": 8080,
        "target_port": 8080,
        "verdict": verdict,
        "summary": summary,
        "edges": list(edges),
        **more,
    }


def document(
    *ports: Json, nodes: Iterable[str] = NODES[:1], vantage: str = "local", **more: Any
) -> Json:
    """A Service; what its first port is, it is."""
    first = ports[0] if ports else port(summary="nothing of it is dialed")
    edges = [e for p in ports for e in p["edges"] if e["kind"] != "candidate"]
    return {
        "service": {"namespace": "demo-app", "name": "backend-v1"},
        "spec": {
            "type": "ClusterIP",
            "cluster_ips": ["10.96.1.2"],
            "selector": {"app": "backend-v1"},
        },
        "sources": [{"node": node, "vantage": vantage} for node in nodes],
        "verdict": first["verdict"],
        "summary": first["summary"],
        "dialed": sum(e["result"] is not None for e in edges),
        "expected": len(edges),
        "ports": list(ports),
        "changes": [],
        "advice": [],
        **more,
    }


MISMATCH = document(
    port(
        vip("refused"),
        edge("10.244.1.5", "refused", port=8081),
        edge("10.244.2.7", "refused", port=8081, node="node-2"),
        edge("10.244.1.5", kind="candidate"),
        edge("10.244.2.7", kind="candidate", node="node-2"),
        verdict="port_mismatch",
        summary="targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts: "
        "set targetPort to 8080",
        target_port=8081,
    ),
    changes=[
        {
            "time": "2026-11-21T09:58:00Z",
            "kind": "service_edit",
            "object": "Service demo-app/backend-v1",
            "by": "kubectl-patch",
            "detail": "port 8080: targetPort 8080 -> 8081",
        }
    ],
    advice=[
        "set targetPort to 8080: kubectl patch service backend-v1 -n demo-app -p "
        """'{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}'""",
        "if the manifest is managed (Argo CD, Flux, Helm), change it there too",
    ],
)
