from math import inf

from probe.core import kube
from probe.core.changes import Change, ChangeKind
from probe.core.edges import EndpointSlice, Hints, Service
from probe.core.mirror import CHANGES_KEPT, Mirror
from probe.core.nodes import Node
from probe.core.results import Result
from probe.core.rolling import ROLLOUTS_KEPT
from probe.core.workloads import Workload
from tests.core.facts import endpoint, leaving, port, service, slice_of, workload

KEY = ("demo-app", "backend-v1")
ROLLOUT = ("Deployment", "demo-app", "backend-v1")


def mirror(*facts: Service | EndpointSlice | Workload, node: str = "") -> Mirror:
    """A mirror whose first lists held these, at second 0."""
    found = Mirror(linger=30.0, node=node)
    for name, kind in (
        ("services", Service),
        ("endpointslices", EndpointSlice),
        ("deployments", Workload),
    ):
        listed = tuple(f for f in facts if isinstance(f, kind))
        found.apply(kube.Listed(name, listed), 0.0)
    return found


def store(held: Mirror, fact: Service | EndpointSlice | Workload, now: float) -> list[Change]:
    names = {Service: "services", EndpointSlice: "endpointslices", Workload: "deployments"}
    return held.apply(kube.Stored(names[type(fact)], fact), now)


def kinds(found: list[Change]) -> list[str]:
    return [str(change.kind) for change in found]


def test_the_first_list_is_no_news_and_older_than_anything() -> None:
    held = mirror(service(), slice_of("10.0.0.1"), workload())

    assert held.synced
    assert not held.changes
    assert held.services[KEY].since == -inf
    assert held.services[KEY].endpoint_since == {}


def test_a_later_list_tells_what_changed_in_between() -> None:
    held = mirror(service(), slice_of("10.0.0.1"))
    found = held.apply(kube.Listed("services", (service(port(8080, 8081)),)), 9.0)
    gone = held.apply(kube.Listed("services", ()), 10.0)

    assert kinds(found) == ["service_edit"]
    assert kinds(gone) == ["service_removed"]
    assert list(held.changes) == [*found, *gone]


def test_a_service_that_is_only_labelled_is_not_edited() -> None:
    held = mirror(service())

    assert store(held, service(managed="Flux"), 9.0) == []
    assert held.services[KEY].edited_at == -inf


def test_a_list_of_one_namespace_says_nothing_of_the_others() -> None:
    held = mirror(service(), service(namespace="shop"))
    held.apply(kube.Listed("services", (), "shop"), 1.0)

    assert set(held.services) == {KEY}


def test_without_its_namespaces_all_listed_a_mirror_is_not_in_sync() -> None:
    held = Mirror(30.0, {"a", "b"})
    synced = []
    for name, namespace in (
        ("services", "a"),
        ("endpointslices", "a"),
        ("services", "b"),
        ("endpointslices", "b"),
    ):
        held.apply(kube.Listed(name, (), namespace), 1.0)
        synced.append(held.synced)

    assert synced == [False, False, False, True]
    held = Mirror(30.0, {"a", "b"})
    for name in ("services", "endpointslices"):
        held.apply(kube.Listed(name, ()), 1.0)
    assert held.synced  # one list of everything will do


def test_what_a_first_list_lacks_is_gone_now_and_not_long_ago() -> None:
    held = Mirror(30.0)
    store(held, service(), 1.0)
    store(held, slice_of("10.0.0.1"), 1.0)
    found = [
        *held.apply(kube.Listed("services", ()), 2.0),
        *held.apply(kube.Listed("endpointslices", (slice_of(),)), 3.0),
    ]

    assert kinds(found) == ["service_removed"]
    assert found[0].at == 2.0
    assert [r.at for r in held.services[KEY].removals] == [3.0]


def test_slices_may_come_before_their_service_and_stay_after_it() -> None:
    held = mirror()
    store(held, slice_of("10.0.0.1"), 1.0)
    assert held.services[KEY].service is None

    store(held, service(), 2.0)
    assert held.services[KEY].since == 2.0
    held.apply(kube.Removed("services", *KEY), 3.0)
    assert held.services[KEY].service is None
    held.apply(kube.Removed("endpointslices", "demo-app", "backend-v1-x"), 4.0)
    assert not held.services


def test_a_slice_may_change_its_service() -> None:
    held = mirror(service(), service(name="other"), slice_of("10.0.0.1"))
    store(held, slice_of("10.0.0.1", service="other", name="backend-v1-x"), 1.0)

    assert not held.services[KEY].slices
    assert [e.address for e in held.services["demo-app", "other"].held_endpoints()] == ["10.0.0.1"]


def test_removing_what_is_not_there_changes_nothing() -> None:
    held = mirror()

    for name in ("services", "endpointslices", "deployments"):
        assert held.apply(kube.Removed(name, *KEY), 1.0) == []


# Rollouts.


def test_a_rollout_runs_from_the_change_until_it_is_complete_and_nothing_terminates() -> None:
    held = mirror(service(), slice_of("10.0.0.1"), workload())
    begun = store(held, workload(image="app:2", complete=False), 10.0)
    store(held, slice_of("10.0.0.2", leaving("10.0.0.1")), 20.0)
    still = store(held, workload(image="app:2"), 21.0)
    ended = store(held, slice_of("10.0.0.2"), 30.0)

    assert kinds(begun) == ["rollout"]
    assert still == []
    assert kinds(ended) == ["endpoint", "rollout_end"]
    assert ended[1].detail == "complete after 20 s, revision 1"
    (rollout,) = held.rollouts_of(KEY)
    assert rollout.ended == 30.0


def test_a_rollout_lingers_and_is_reported_when_that_is_over() -> None:
    held = mirror(service(), workload())
    store(held, workload(image="app:2", complete=False), 10.0)
    store(held, workload(image="app:2"), 20.0)
    assert held.tick(49.9) == []

    assert kinds(held.tick(50.0)) == ["rollout_report"]
    assert held.rollouts_of(KEY) == ()
    assert [r.outcome for r in held.last_rollouts_of(KEY)] == ["complete"]


def test_a_further_change_prolongs_a_running_rollout_and_replaces_an_ended_one() -> None:
    held = mirror(service(), workload(deadline=100))
    store(held, workload(image="app:2", complete=False, deadline=100), 10.0)
    store(held, workload(image="app:3", complete=False, deadline=100), 50.0)
    (rollout,) = held.rollouts_of(KEY)
    assert (rollout.started, rollout.deadline) == (10.0, 150.0)

    store(held, workload(image="app:3"), 60.0)
    store(held, workload(image="app:4", complete=False), 61.0)
    (again,) = held.rollouts_of(KEY)
    assert (again.started, again.ended) == (61.0, None)
    assert list(held.finished) == [rollout]


def test_a_rollout_already_under_way_when_we_start_is_known() -> None:
    held = mirror(workload(rolling=True, complete=False), service())
    (rollout,) = held.rollouts_of(KEY)

    assert (rollout.started, rollout.detail) == (0.0, "already in progress")
    assert not held.changes


def test_pods_being_replaced_begin_a_rollout_whatever_changed() -> None:
    held = mirror(service(), workload())
    found = store(held, workload(rolling=True, complete=False), 10.0)

    assert kinds(found) == ["rollout"]
    assert len(held.rollouts_of(KEY)) == 1


def test_the_services_behind_a_rollout_may_be_learned_later() -> None:
    held = mirror(workload(rolling=True, complete=False))
    assert held.rollouts_of(KEY) == ()

    store(held, service(), 1.0)
    assert len(held.rollouts_of(KEY)) == 1
    store(held, service(namespace="shop"), 1.0)
    assert held.rollouts_of(("shop", "backend-v1")) == ()
    store(held, service(selector=(("app", "other"),)), 2.0)
    assert held.rollouts_of(KEY) == ()


def test_a_rollout_whose_new_labels_leave_the_service_is_tied_to_it() -> None:
    first, second = (("app", "backend-v1"), ("version", "1")), (("app", "backend-v1"),)
    held = mirror(service(selector=first), slice_of("10.0.0.1"), workload(labels=first))
    begun = store(held, workload(image="app:2", labels=second, complete=False), 10.0)
    assert [(str(c.kind), c.services) for c in begun] == [("rollout", ("backend-v1",))]
    store(held, service(port(8080, 8081), selector=first), 11.0)
    assert [r.ended for r in held.rollouts_of(KEY)] == [None]

    scaled = workload(image="app:2", labels=second, complete=False, replicas=9)
    assert [c.services for c in store(held, scaled, 12.0)] == [("backend-v1",)]
    store(held, slice_of(leaving("10.0.0.1")), 20.0)
    store(held, slice_of(), 30.0)
    ended = store(held, workload(image="app:2", labels=second, replicas=9), 31.0)
    assert [(str(c.kind), c.services) for c in ended] == [("rollout_end", ("backend-v1",))]
    (report,) = held.tick(61.0)
    assert (str(report.kind), report.services) == ("rollout_report", ("backend-v1",))
    assert held.rollouts_of(KEY) == ()
    later = store(held, workload(image="app:2", labels=second, replicas=8), 70.0)
    assert [c.services for c in later] == [()]


def test_what_is_deleted_while_its_new_labels_leave_the_service_takes_its_old_pods_along() -> None:
    held = mirror(service(), slice_of("10.0.0.1"), workload())
    store(held, workload(image="app:2", labels=(("app", "x"),), complete=False), 10.0)
    found = held.apply(kube.Removed("deployments", *KEY), 11.0)

    assert [(str(c.kind), c.services) for c in found] == [
        ("scale", ("backend-v1",)),
        ("rollout_end", ("backend-v1",)),
    ]


def test_a_deleted_workload_ends_its_rollout() -> None:
    held = mirror(service(), workload())
    store(held, workload(image="app:2", complete=False), 10.0)
    found = held.apply(kube.Removed("deployments", *KEY), 11.0)

    assert [c.detail for c in found] == ["deleted, replicas: 2 -> 0", "deleted after 1 s"]
    store(
        held, service(selector=(("app", "x"),)), 12.0
    )  # a rollout without a workload stands still
    assert len(held.rollouts_of(KEY)) == 1


def test_a_rollout_that_hangs_ends_by_itself() -> None:
    held = mirror(service(), workload(deadline=60))
    store(held, workload(image="app:2", complete=False, deadline=60), 10.0)
    assert held.tick(69.0) == []

    assert [c.detail for c in held.tick(70.0)] == ["overdue after 60 s"]


def test_services_and_workloads_find_each_other_by_selector_and_namespace() -> None:
    held = mirror(
        service(),
        service(name="other", selector=(("app", "x"),)),
        service(name="none", selector=()),
        service(namespace="shop"),
    )

    assert held.services_of(workload()) == ("backend-v1",)
    store(held, workload(), 1.0)
    store(held, workload(name="canary"), 1.0)
    names = [w.name for w in held.workloads_of(service())]
    assert names == ["backend-v1", "canary"]
    assert list(held.workloads_of(service(selector=()))) == []


def test_failures_of_a_removed_service_are_forgotten() -> None:
    held = mirror(service(), service(name="other"), workload())
    held.rollout_failures[ROLLOUT, "backend-v1", Result.REFUSED] += 1
    held.rollout_failures[ROLLOUT, "other", Result.REFUSED] += 1
    held.apply(kube.Removed("services", *KEY), 1.0)
    held.tick(1.0)

    assert list(held.rollout_failures) == [(ROLLOUT, "other", Result.REFUSED)]


def test_failures_of_a_removed_workload_are_forgotten_once_its_rollout_is_over() -> None:
    held = mirror(service(), slice_of("10.0.0.1"), workload())
    store(held, workload(image="app:2", complete=False, rolling=True), 1.0)
    held.rollout_failures[ROLLOUT, "backend-v1", Result.REFUSED] += 1
    held.apply(kube.Removed("deployments", *KEY), 2.0)
    held.tick(3.0)
    assert held.rollout_failures.total() == 1  # of dials that may still fail by it

    held.tick(40.0)
    held.tick(41.0)
    assert list(held.rollout_failures) == []


def test_what_is_remembered_is_bounded() -> None:
    held = mirror(service(), workload())
    for i in range(2 * CHANGES_KEPT):
        store(held, service(port(8080, 1 + i % 2)), float(i))
    for i in range(2 * ROLLOUTS_KEPT):
        store(held, workload(image=f"app:{i}", complete=False), 5000.0 + 100 * i)
        store(held, workload(image=f"app:{i}"), 5001.0 + 100 * i)
        held.tick(5050.0 + 100 * i)

    assert (len(held.changes), len(held.finished)) == (CHANGES_KEPT, ROLLOUTS_KEPT)
    assert ChangeKind.ROLLOUT_REPORT in {c.kind for c in held.changes}


def test_what_is_listed_again_unchanged_touches_nothing() -> None:
    """The API server was away: what it says again of thousands of Services is no work."""
    facts = service(), slice_of("10.0.0.1"), workload()
    held = mirror(*facts)
    held.touched = {}
    for name, fact in zip(("services", "endpointslices", "deployments"), facts, strict=True):
        assert held.apply(kube.Listed(name, (fact,)), 9.0) == []
    assert held.touched == {}

    store(held, slice_of("10.0.0.1", "10.0.0.2"), 9.0)
    assert list(held.touched) == [KEY]


def test_a_workload_s_news_leaves_the_edges_of_its_services_alone() -> None:
    held = mirror(service(), slice_of("10.0.0.1"), workload())
    held.touched = {}
    held.services[KEY].moved = False
    store(held, workload(replicas=9), 9.0)

    assert list(held.touched) == [KEY]
    assert not held.services[KEY].moved
    store(held, service(port(8080, 8081)), 9.0)
    assert held.services[KEY].moved


def test_40_an_invalid_address_is_told_once_however_often_its_workload_changes() -> None:
    bad = (("env", "UPSTREAM=0:80"),)
    held = mirror(service(), workload(invalid=bad))
    assert [change.detail for change in held.changes] == ["UPSTREAM=0:80"]

    assert "invalid_target" not in kinds(store(held, workload(invalid=bad, replicas=9), 9.0))
    more = (*bad, ("args", "0:81"))
    found = store(held, workload(invalid=more, replicas=9), 10.0)
    assert [c.detail for c in found if c.kind is ChangeKind.INVALID_TARGET] == ["0:81"]


# Nodes.


def zoned(name: str, address: str) -> EndpointSlice:
    hinted = endpoint(address, node="node-b", hints=Hints(("zone-a",)))
    return slice_of(hinted, service=name)


def took(held: Mirror) -> set[str]:
    """The names of the Services that were touched, and whose edges may be other ones."""
    touched, held.touched = held.touched, {}
    names = {name for (_, name), record in touched.items() if record.moved}
    for record in touched.values():
        record.moved = False
    return {name if name in names else f"{name} (facts)" for _, name in touched}


def test_11_a_zone_of_ours_moves_the_services_that_have_hints_for_zones() -> None:
    services = (service(name="near"), service(name="plain"))
    slices = (zoned("near", "10.0.0.1"), slice_of("10.0.0.2", service="plain"))
    held = mirror(*services, *slices, node="node-a")
    took(held)

    held.apply(kube.Stored("nodes", Node("node-c", "zone-c")), 1.0)
    assert took(held) == set()
    held.apply(kube.Stored("nodes", Node("node-a", "zone-a")), 2.0)
    assert held.surroundings.nodes["node-a"].zone == "zone-a"
    assert took(held) == {"near"}
    held.apply(kube.Stored("nodes", Node("node-a", "zone-a")), 3.0)
    assert took(held) == set()


def test_36_a_node_that_falls_touches_the_services_that_have_endpoints_there() -> None:
    services = (service(name="there"), service(name="elsewhere"))
    slices = (
        slice_of(endpoint("10.0.0.1", node="node-b"), service="there"),
        slice_of(endpoint("10.0.0.2", node="node-c"), service="elsewhere"),
    )
    held = mirror(*services, *slices)
    held.apply(kube.Listed("nodes", (Node("node-b"), Node("node-c"))), 1.0)
    took(held)

    fallen = kube.Stored("nodes", Node("node-b", ready=False))
    assert kinds(held.apply(fallen, 2.0)) == ["node"]
    assert took(held) == set()
    held.tick(2.5)  # many may fall at once: they are looked for together
    assert took(held) == {"there (facts)"}
    assert held.apply(fallen, 3.0) == []
    held.tick(3.5)
    assert took(held) == set()
