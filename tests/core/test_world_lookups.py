"""ReplicaSets that nobody owns: asked for where nothing else tells, and candidates from then on."""

from dataclasses import replace

from probe.core import kube
from probe.core.edges import Kind
from probe.core.results import Outcome
from probe.core.rounds import Dial
from probe.core.workloads import Workload
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    REFUSED,
    Story,
    port,
    service,
    slice_of,
    workload,
)

APP = (("app", "backend-v1"),)
BARE = workload(DECLARED_8080, kind="ReplicaSet", name="bare")


def only_8080(dial: Dial, now: float) -> Outcome:
    return CONNECTED if dial.edge.dial_port == 8080 else REFUSED


def mistaken(*deployments: Workload, selector: tuple[tuple[str, str], ...] = APP) -> Story:
    """A Service with a targetPort that nobody listens on."""
    of = service(port(8080, 8081), selector=selector)
    held = slice_of("10.0.0.1", "10.0.0.2", number=8081)
    return Story(answer=only_8080).listed([of], [held], deployments)


def test_a_namespace_is_asked_for_while_all_refuse_and_no_workload_is_known() -> None:
    story = mistaken().run(30)

    assert story.verdict() == "not_listening"
    assert story.world.wanted_replica_sets() == {"demo-app"}
    assert story.world.wanted_replica_sets() == set()
    assert story.run(10).world.wanted_replica_sets() == {"demo-app"}


def test_nothing_is_asked_for_where_a_workload_is_known_or_none_can_be_or_dials_connect() -> None:
    known, manual = mistaken(workload()), mistaken(selector=())
    well = Story().listed([service()], [slice_of("10.0.0.1")])

    for story, verdict in (known, "not_listening"), (manual, "not_listening"), (well, "healthy"):
        assert story.run(30).verdict() == verdict
        assert story.world.wanted_replica_sets() == set()


def test_its_declared_ports_are_candidates_as_soon_as_it_is_told() -> None:
    story = mistaken().run(30)
    story.world.apply(kube.Listed("replicasets", (BARE,), "demo-app"), story.now)

    assert story.run(15).verdict() == "port_mismatch"
    assert {d.edge.dial_port for d in story.dials if d.edge.kind is Kind.CANDIDATE} == {8080}


def test_a_replica_set_makes_no_rollout_and_no_change_and_goes_with_the_next_list() -> None:
    story = mistaken().run(30)
    told = story.world.apply(kube.Listed("replicasets", (BARE,), "demo-app"), story.now)
    other = replace(BARE, replicas=5, template=b"other")
    told += story.world.apply(kube.Listed("replicasets", (other,), "demo-app"), story.now)
    assert (told, story.world.mirror.rollouts) == ([], {})

    story.world.apply(kube.Listed("replicasets", (), "demo-app"), story.now)
    assert story.world.mirror.workloads == {}
