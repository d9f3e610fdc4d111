"""A Deployment that rolls in front of a proxy that is late, as stories tell it."""

from probe.core.edges import Kind
from probe.core.results import Outcome
from probe.core.rounds import Dial
from tests.core.facts import CONNECTED, REFUSED, Story, leaving, slice_of, workload

PODS = ("10.0.0.1", "10.0.0.2")
"""Those of the Service before anything rolls."""


class Rolling:
    """A proxy that goes on sending to removed pods, which have stopped listening, for `lag`."""

    def __init__(self, lag: float) -> None:
        self.lag = lag
        self.pods = list(PODS)
        self.removed: list[tuple[float, str]] = []
        self._turn = 0

    def remove(self, pod: str, now: float) -> None:
        self.pods.remove(pod)
        self.removed.append((now, pod))

    def __call__(self, dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is not Kind.SERVICE:
            return CONNECTED if dial.edge.address in self.pods else REFUSED
        known = self.pods + [pod for at, pod in self.removed if dial.at < at + self.lag]
        self._turn += 1
        return CONNECTED if known[self._turn % len(known)] in self.pods else REFUSED


def roll(story: Story, network: Rolling) -> None:
    """Two pods replaced one by one, as the Deployment controller and its slices tell it."""
    story.store(workload(image="app:2", complete=False, rolling=True))
    for i, old in enumerate(PODS):
        new = f"10.0.1.{i}"
        network.pods.append(new)
        story.store(slice_of(*network.pods))
        story.run(3)
        network.remove(old, story.now)
        story.store(slice_of(*network.pods, leaving(old, serving=False)))
        story.run(2)
        story.store(slice_of(*network.pods))
        story.run(15)
    story.store(workload(image="app:2"))
    story.run(1)
