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


def test_those_that_are_known_are_listed_again_for_what_they_declare_by_now() -> None:
    """An Argo Rollout replaces its ReplicaSet, and nothing tells us."""
    story = mistaken().run(30)
    silent = workload(kind="ReplicaSet", name="rollout-1")
    story.world.apply(kube.Listed("replicasets", (silent,), "demo-app"), story.now)
    story.world.wanted_replica_sets()
    assert story.run(10).verdict() == "not_listening"
    assert story.world.wanted_replica_sets() == {"demo-app"}

    story.world.apply(kube.Listed("replicasets", (BARE,), "demo-app"), story.now)
    assert story.run(15).verdict() == "port_mismatch"


IDLE = replace(BARE, replicas=0, declared=())
"""What an Argo Rollout leaves that is scaled to zero."""


def emptied() -> Story:
    """A Service whose last endpoint goes, of a workload that nothing watched tells of."""
    story = Story().listed([service()], [slice_of("10.0.0.1")]).run(15)
    story.store(slice_of())
    return story.run(0.1)


def test_a_service_of_no_known_workload_is_asked_for_before_it_is_called_an_outage() -> None:
    story = emptied()
    assert story.verdict() == "healthy"
    assert story.world.wanted_replica_sets() == {"demo-app"}

    story.world.apply(kube.Listed("replicasets", (IDLE,), "demo-app"), story.now)
    at = story.now
    story.run(40)
    assert story.summary() == "no endpoints: its workload is scaled to zero"
    assert [t.new.on_purpose for t in story.turns if t.at > at] == [True]


def test_a_rollout_that_is_scaled_up_again_is_no_information_for_ever() -> None:
    story = emptied()
    story.world.apply(kube.Listed("replicasets", (IDLE,), "demo-app"), story.now)
    story.run(40)
    assert story.world.wanted_replica_sets() == {"demo-app"}

    story.world.apply(kube.Listed("replicasets", (BARE,), "demo-app"), story.now)
    story.run(2)
    assert story.verdict() == "no_endpoints"
    assert not story.judged().on_purpose


def test_what_stays_empty_without_a_workload_is_asked_for_once() -> None:
    story = emptied()
    story.world.apply(kube.Listed("replicasets", (), "demo-app"), story.now)
    story.world.wanted_replica_sets()
    assert story.run(40).world.wanted_replica_sets() == set()
    assert not story.judged().on_purpose

    story.store(slice_of("10.0.0.1"))
    story.run(10).store(slice_of())
    assert story.run(1).world.wanted_replica_sets() == {"demo-app"}


def test_a_namespace_that_was_made_anew_has_not_been_listed() -> None:
    story = emptied()
    story.world.apply(kube.Listed("replicasets", (), "demo-app"), story.now)
    story.run(5).world.wanted_replica_sets()
    story.world.apply(kube.Removed("namespaces", "", "other"), story.now)
    assert story.run(5).world.wanted_replica_sets() == set()

    story.world.apply(kube.Removed("namespaces", "", "demo-app"), story.now)
    assert story.run(5).world.wanted_replica_sets() == {"demo-app"}


def test_a_new_service_may_be_made_before_its_workload_and_asks_for_nothing() -> None:
    story = Story().listed().run(15)
    story.store(service())
    assert story.run(20).world.wanted_replica_sets() == set()
    assert story.run(20).world.wanted_replica_sets() == {"demo-app"}


def test_those_of_old_revisions_tell_nothing_beside_the_one_that_has_pods() -> None:
    story = mistaken().run(30)
    old = replace(IDLE, name="old", declared=(replace(DECLARED_8080, port=9),))
    story.world.apply(kube.Listed("replicasets", (BARE, old), "demo-app"), story.now)

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
