"""What the daemon exports, for whoever names metrics and labels."""

from collections import defaultdict

import pytest

from probe.core import kube
from probe.core.nodes import Node
from probe.core.results import Outcome, Result
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    NODE,
    REFUSED,
    Story,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)
from tests.pages import exposing, page, read

Exported = dict[str, set[str]]


@pytest.fixture(scope="session")
def exported() -> Exported:
    """Each metric with its labels, off a page on which something of everything stands."""

    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.dial_port == 8081 or dial.edge.key.port == 80 else CONNECTED

    told = (("env", "env A=0:80: zero"),)
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe")), answer=answer)
    own = service(name="edgeprobe", namespace="edgeprobe", ips=())
    daemon = endpoint("10.0.9.1", node=NODE)
    story.listed(
        [service(port(80, 8081)), service(port(53, protocol="UDP"), name="dns"), own],
        [
            slice_of("10.0.0.1", number=8081),
            slice_of(daemon, service="edgeprobe", namespace="edgeprobe"),
        ],
        [workload(DECLARED_8080, invalid=told)],
    )
    story.world.apply(kube.Listed("nodes", (Node(NODE), Node("node-b"))), story.now)
    story.run(60)
    story.store(workload(DECLARED_8080, invalid=told, image="app:2", complete=False))
    key = ("Deployment", "demo-app", "backend-v1")
    story.world.mirror.rollouts[key].saw_lag(10.2, 0.5)
    story.world.mirror.rollout_failures[key, "backend-v1", Result.REFUSED] += 3
    metrics = exposing(story)
    metrics.observe([(dial, CONNECTED) for dial in story.dials])
    found: Exported = defaultdict(set)
    for name, labels in read(page(story, metrics)):
        found[name] |= {"node", *dict(labels)}
    return found
