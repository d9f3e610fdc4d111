"""A workload with two pods behind its Service, and which of what is said of it is an alarm."""

from probe.core.edges import Kind
from probe.core.results import Outcome
from probe.core.rounds import Dial
from probe.core.verdicts import FAILING
from tests.core.facts import (
    CONNECTED,
    REFUSED,
    Story,
    service,
    slice_of,
    workload,
)

PODS = ("10.0.0.1", "10.0.0.2")


def alarms(story: Story, since: float) -> list[str]:
    """Verdicts since then that would page somebody."""
    return [
        str(turn.new.verdict)
        for turn in story.turns
        if turn.at >= since and turn.new.verdict in FAILING and not turn.new.on_purpose
    ]


def vip_refuses(dial: Dial, now: float) -> Outcome:
    return REFUSED if dial.edge.kind is Kind.SERVICE else CONNECTED


def standing(replicas: int, *pods: str) -> Story:
    story = Story().listed([service()], [slice_of(*pods)], [workload(replicas=replicas)])
    return story.run(15)
