from probe.core.changes import (
    ChangeKind,
    endpoint_changes,
    last_write,
    rollout_ended,
    rollout_report,
    service_changes,
    service_removed,
    workload_changes,
)
from probe.core.edges import Author, Endpoint, Service
from probe.core.workloads import Workload
from tests.core.facts import endpoint, leaving, port, service, workload

ARGO = Author("argocd-controller", "2026-11-20T10:00:00Z")
WHOM = "Service demo-app/backend-v1"


def edit(old: Service, new: Service) -> list[tuple[str, str]]:
    return [(str(c.kind), c.detail) for c in service_changes(old, new, 5.0)]


def of_workload(
    old: Workload | None, new: Workload, *, running: bool = False
) -> list[tuple[str, str]]:
    found = workload_changes(old, new, ("backend-v1",), 5.0, running=running)
    return [(str(c.kind), c.detail) for c in found]


def of_endpoint(old: Endpoint | None, new: Endpoint | None) -> list[str]:
    was, now = ({e.address: e} if e else {} for e in (old, new))
    return [c.detail for c in endpoint_changes("demo-app", "backend-v1", was, now, 5.0)]


def test_a_changed_target_port_is_an_edit_with_old_new_and_its_author() -> None:
    old, new = service(port(8080, 8080)), service(port(8080, 8081), author=ARGO)
    (change,) = service_changes(old, new, 5.0)

    assert change.detail == "port 8080: targetPort 8080 -> 8081"
    assert (change.at, change.kind, change.object) == (5.0, ChangeKind.SERVICE_EDIT, WHOM)
    assert (change.by, change.time) == ("argocd-controller", "2026-11-20T10:00:00Z")
    assert change.services == ("backend-v1",)


def test_an_edit_that_moves_no_traffic_is_no_change() -> None:
    assert edit(service(), service(author=ARGO)) == []


def test_an_edit_names_everything_that_moved() -> None:
    old = service(port(80), port(81, name="b"), port(82, 9, name="c"))
    new = service(
        port(80, name="web"),
        port(82, 9, name=""),
        port(53, protocol="UDP"),
        selector=(("app", "v2"), ("tier", "b")),
        kind="NodePort",
        ips=("10.96.0.11",),
    )

    assert edit(old, new) == [
        (
            "service_edit",
            "port 80: name http -> web; port 82: name c -> (none); "
            "port 53/UDP (targetPort 8080) added; port 81 (targetPort 8080) removed; "
            "selector: app=backend-v1 -> app=v2,tier=b; type: ClusterIP -> NodePort; "
            "clusterIPs: 10.96.0.10 -> 10.96.0.11",
        )
    ]


def test_a_name_that_was_not_there_and_a_selector_that_goes_are_said_so() -> None:
    old = service(port(80, name=""))
    new = service(port(80, name="web"), selector=())

    assert edit(old, new)[0][1] == "port 80: name (none) -> web; selector: app=backend-v1 -> (none)"


def test_a_service_of_another_uid_is_a_new_one() -> None:
    assert edit(service(), service(uid="2")) == [("service_added", "ports 8080 (targetPort 8080)")]
    assert service_removed(service(), 5.0).detail == "deleted"


def test_the_last_write_is_told_when_no_edit_was_seen() -> None:
    told = last_write(service(author=ARGO), 5.0)

    assert last_write(service(), 5.0) is None
    assert told is not None
    assert told.by == "argocd-controller"
    assert (
        told.detail
        == "last written with ports 8080 (targetPort 8080); earlier values were not seen"
    )


def test_a_changed_template_is_a_rollout_and_changed_replicas_a_scaling() -> None:
    new = workload(image="app:2", replicas=3, author=ARGO, cause="upgrade")

    assert (of_workload(workload(), new)) == [
        ("rollout", "image app:1 -> app:2 (upgrade)"),
        ("scale", "replicas: 2 -> 3"),
    ]
    assert of_workload(None, new) == []
    assert of_workload(workload(), workload(complete=False)) == []


def test_pods_being_replaced_tell_of_a_change_in_a_part_of_the_template_that_is_not_kept() -> None:
    rolling = workload(rolling=True)

    assert of_workload(workload(), rolling) == [("rollout", "pod template changed")]
    assert of_workload(workload(), rolling, running=True) == []
    assert of_workload(rolling, rolling) == []


def test_the_end_and_the_report_of_a_rollout_name_its_workload() -> None:
    key = ("Deployment", "demo-app", "backend-v1")
    end, told = (make(key, "x", ("backend-v1",), 5.0) for make in (rollout_ended, rollout_report))

    assert (end.kind, told.kind) == (ChangeKind.ROLLOUT_END, ChangeKind.ROLLOUT_REPORT)
    assert "Deployment demo-app/backend-v1" == end.object == told.object


def test_endpoints_come_go_turn_and_terminate() -> None:
    ready, unready = endpoint("10.0.0.1"), endpoint("10.0.0.1", ready=False)

    assert of_endpoint(None, ready) == ["10.0.0.1 added, ready"]
    assert of_endpoint(None, unready) == ["10.0.0.1 added, not ready"]
    assert of_endpoint(ready, None) == ["10.0.0.1 gone"]
    assert of_endpoint(ready, unready) == ["10.0.0.1 not ready"]
    assert of_endpoint(unready, ready) == ["10.0.0.1 ready"]
    assert of_endpoint(ready, leaving("10.0.0.1")) == ["10.0.0.1 terminating"]
    assert of_endpoint(ready, ready) == []
