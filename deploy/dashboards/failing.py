"""What is failing now, and why: a sentence for each Service port, of edgeprobe_verdict_info."""

from grafana_foundation_sdk.builders import table as tables

from deploy.dashboards.tables import CARRIED, Column, rows
from probe.core.explanations import EXPLANATIONS
from probe.core.verdicts import FAILING, Verdict

_PARTS = ("verdict", "target_port", "candidate", "cause")
_TOLD = {
    Verdict.PORT_MISMATCH: "targetPort $1 is refused, port $2 accepts",
    Verdict.NOT_LISTENING: "every endpoint refuses targetPort $1",
    Verdict.NODE_PATH: "everything towards node $3, or from it, fails",
    Verdict.PROXY_STALE: "endpoints answer, the ClusterIP does not: kube-proxy on node $3",
}
"""Sentences with what the labels know: $1 is the targetPort, $2 the port that accepts, $3 the
node of the cause that it shares with others. The other verdicts are told by their meaning."""

DRILL_DOWN = (
    "/d/edgeprobe-service?var-namespace=${__data.fields.namespace}"
    f"&var-service=${{__data.fields.service}}&{CARRIED}"
)


def sentences(selector: str) -> str:
    """How many nodes see each failing Service port of the selector, with the label `why`."""
    joined = ", ".join(f'"{part}"' for part in _PARTS)
    query = f'label_join(edgeprobe_verdict_info{{{selector}}}, "why", ";", {joined})'
    for verdict in Verdict:
        if verdict in FAILING:
            text = _TOLD.get(verdict, EXPLANATIONS[verdict].meaning)
            known = f"{verdict};(.*);(.*);(?:.*/)?(.*)"
            query = f'label_replace({query}, "why", "{text}", "why", "{known}")'
    return f"count by (cluster, namespace, service, port, verdict, why) ({query})"


def failing(title: str, selector: str, runbooks: str, height: int) -> tables.Panel:
    """The table of them."""
    return rows(
        title,
        "Every Service port that fails, unless on purpose, by what the dials together mean. Follow "
        "the Service to its dials, the verdict to its runbook. Seen from one node alone, it is "
        "that node's; seen from all, the Service's. A drain_race is told by the nodes alone that "
        "dial endpoints of the Service.",
        [sentences(selector)],
        (
            Column("cluster", "Cluster", width=140),
            Column("namespace", "Namespace", width=180),
            Column("service", "Service", link=("Its dials", DRILL_DOWN), width=220),
            Column("port", "Port", width=80),
            Column(
                "verdict",
                "Verdict",
                link=("The runbook", f"{runbooks}/${{__value.raw}}.md"),
                verdicts=True,
                width=150,
            ),
            Column("why", "Why"),
            Column("Value", "Seen from nodes", width=140),
        ),
        nothing="Nothing fails.",
        sort="Seen from nodes",
        height=height,
    )
