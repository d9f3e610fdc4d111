from dataclasses import replace

from probe.core import kube
from probe.core.edges import Family, Kind, Scope
from probe.core.health import State
from probe.core.labels import Requirement
from probe.core.nodes import Node
from probe.core.placement import Placement
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.survey import STEP, Survey, SurveyedPort
from probe.core.verdicts import Verdict
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    NODE,
    REFUSED,
    Story,
    answers,
    endpoint,
    port,
    service,
    slice_of,
    standing,
    workload,
)


def surveyed(story: Story) -> Survey:
    found = Survey(story.world, story.now)
    assert all(isinstance(port, SurveyedPort) for port in found.walk())
    return found


def test_edges_are_counted_by_kind_family_and_state() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_1=REFUSED)).run(30)
    (found,) = Survey(story.world, story.now).walk()

    assert found is not None
    assert found.states == {
        (Kind.SERVICE, Family.IPV4, State.UP): 1,
        (Kind.ENDPOINT, Family.IPV4, State.UP): 1,
        (Kind.ENDPOINT, Family.IPV4, State.DOWN): 1,
    }


def test_candidates_are_not_counted() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return CONNECTED if dial.edge.dial_port == 8080 else REFUSED

    wrong = service(port(8080, 8081))
    story = Story(answer=answer).listed(
        [wrong], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    story.run(30)
    survey = Survey(story.world, story.now)
    (found,) = survey.walk()

    assert found is not None
    assert Kind.CANDIDATE in {edge.kind for edge in found.book.tracks}
    assert {kind for kind, _, _ in found.states} == {Kind.SERVICE, Kind.ENDPOINT}
    assert survey.edges == 2


def test_coverage_is_the_share_of_edges_with_a_fresh_dial() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    before = surveyed(story).coverage
    story.run(30)
    after = surveyed(story).coverage
    story.now += 1000

    assert (before, after, surveyed(story).coverage) == (0.0, 1.0, 0.0)


def test_an_excluded_edge_is_covered_when_it_was_dialed() -> None:
    story = standing(slice_of("10.0.0.1"), answer=lambda dial, now: REFUSED)
    story.store(slice_of("10.0.0.1", "10.0.0.2"))  # it is new, and still has time to settle
    story.run(8)
    survey = Survey(story.world, story.now)
    (found,) = survey.walk()

    assert found is not None
    assert found.states[Kind.ENDPOINT, Family.IPV4, State.EXCLUDED] == 1
    assert survey.coverage == 1.0


def test_cluster_ips_that_lead_nowhere_are_sampled_and_no_matter_of_coverage() -> None:
    empty = [service(name=f"empty-{n}", ips=(f"10.97.0.{n + 1}",)) for n in range(200)]
    story = Story().listed([service(), *empty], [slice_of("10.0.0.1")]).run(60)

    assert surveyed(story).coverage == 1.0
    story.now += 1000
    assert surveyed(story).coverage == 0.0


def test_a_world_without_edges_covers_all_of_them() -> None:
    assert surveyed(Story()).coverage == 1.0
    assert surveyed(Story().listed([service()])).coverage == 1.0


def test_service_ports_are_counted_by_verdict_and_whether_that_is_a_failure() -> None:
    idle, lost = service(name="idle", ips=()), service(name="lost", ips=(), selector=())
    ill = service(name="ill", ips=())
    story = Story(answer=answers(at_10_0_0_2=REFUSED)).listed(
        [service(), idle, lost, ill],
        [slice_of("10.0.0.1"), slice_of("10.0.0.2", service="ill")],
        [workload(replicas=0)],
    )
    story.run(30)

    assert surveyed(story).ports == {
        (Verdict.HEALTHY, False): 1,
        (Verdict.NO_ENDPOINTS, False): 1,
        (Verdict.NO_ENDPOINTS, True): 1,
        (Verdict.NOT_LISTENING, True): 1,
    }


def test_invalid_addresses_count_where_we_may_look() -> None:
    told = (("env", "container app: env BACKEND=0:80: zero"),)
    scope = Scope(denied_namespaces=frozenset({"denied"}))
    story = Story(Config(NODE, scope=scope)).listed(
        [service()],
        [slice_of("0.0.0.0")],
        [workload(invalid=told), workload(namespace="denied", invalid=told)],
    )

    assert surveyed(story).invalid_targets == {
        ("demo-app", "env"): 1,
        ("demo-app", "endpointslice"): 1,
    }


def test_a_large_service_is_looked_at_in_steps_between_which_it_may_change() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(2 * STEP)]
    story = standing(slice_of(*pods))
    survey = Survey(story.world, story.now)
    walk = survey.walk()

    assert next(walk) is None
    story.store(slice_of(*pods[:10]))
    assert next(walk) is None
    (found,) = walk
    assert found is not None
    assert sum(found.states.values()) == survey.edges == 2 * STEP + 1
    assert list(walk) == []


def test_services_that_come_or_go_meanwhile_are_told_once_or_not_at_all() -> None:
    story = Story().listed([service(name=name) for name in ("a", "b", "c")])
    walk = Survey(story.world, story.now).walk()
    first = next(walk)
    story.remove(service(name="b"))
    story.remove(service(name="a"))
    story.store(service(name="a"), service(name="d"))
    names = [found.book.implied.key.service for found in (first, *walk) if found]

    assert names == ["a", "c"]


def test_endpoints_that_are_down_are_given_along_and_no_others() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_1=REFUSED)).run(30)
    (found,) = Survey(story.world, story.now).walk()

    assert found is not None
    assert [track.edge.address for track in found.down] == ["10.0.0.1"]


def told_of_daemons(*daemons: str, ready: bool = True) -> Story:
    """A cluster of three nodes of which one leaves, with daemons on these."""
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe"))).listed(
        [service(name="edgeprobe", namespace="edgeprobe", ips=())],
        [
            slice_of(
                *(endpoint(f"10.0.9.{n}", node=at, ready=ready) for n, at in enumerate(daemons)),
                service="edgeprobe",
                namespace="edgeprobe",
            )
        ],
    )
    nodes = (Node(NODE), Node("node-c"), Node("node-b"), Node("node-d", leaving="it goes"))
    story.world.apply(kube.Listed("nodes", nodes), story.now)
    return story


def test_a_node_without_a_ready_daemon_is_named_unless_it_leaves() -> None:
    assert surveyed(told_of_daemons(NODE)).without_prober == ("node-b", "node-c")
    assert surveyed(told_of_daemons(NODE, "node-b", "node-c")).without_prober == ()


def test_a_node_where_no_daemon_is_meant_to_run_misses_none() -> None:
    story = told_of_daemons(NODE)
    linux, windows = ((("os", name),) for name in ("linux", "windows"))
    for name, labels in (("node-b", windows), ("node-c", linux)):
        story.world.apply(kube.Stored("nodes", Node(name, labels=labels)), story.now)
    assert surveyed(story).without_prober == ("node-b", "node-c")

    place = Placement(selector=(Requirement("os", "In", ("linux",)),))
    told = workload(namespace="edgeprobe", kind="DaemonSet")
    story.store(replace(told, placement=place), workload(namespace="edgeprobe", name="other"))
    assert surveyed(story).without_prober == ("node-c",)

    story.store(replace(told, name="second"))  # of a release beside it, on all nodes
    assert surveyed(story).without_prober == ("node-b", "node-c")


def test_where_no_daemon_is_known_none_is_missing() -> None:
    assert surveyed(told_of_daemons()).without_prober == ()
    assert surveyed(told_of_daemons(NODE, ready=False)).without_prober == ()
    assert surveyed(Story()).without_prober == ()
