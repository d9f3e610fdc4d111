from dataclasses import replace

from probe.core.changes import (
    Aspect,
    ChangeKind,
    endpoint_changes,
    last_write,
    service_changes,
    service_removed,
)
from probe.core.edges import Author, Endpoint, Service
from tests.core.facts import endpoint, leaving, port, service

ARGO = Author("argocd-controller", "2026-11-20T10:00:00Z")
WHOM = "Service demo-app/backend-v1"


def edit(old: Service, new: Service) -> list[tuple[str, str]]:
    return [(str(c.kind), c.detail) for c in service_changes(old, new, 5.0)]


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


def test_an_edit_that_left_no_author_is_not_laid_to_the_one_before() -> None:
    old, new = service(port(80), port(81), author=ARGO), service(port(80), author=ARGO)

    assert [(c.by, c.time) for c in service_changes(old, new, 5.0)] == [(None, None)]


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


def test_whom_traffic_is_sent_to_is_told_from_what_to_what() -> None:
    new = service(local=True, publish_not_ready=True)

    assert edit(service(), new) == [
        (
            "service_edit",
            "internalTrafficPolicy: Cluster -> Local; publishNotReadyAddresses: false -> true",
        )
    ]
    assert edit(new, service(publish_not_ready=True)) == [
        ("service_edit", "internalTrafficPolicy: Local -> Cluster")
    ]


def test_a_change_says_what_keeps_the_service() -> None:
    old, new = service(port(8080, 8080)), service(port(8080, 8081), managed="Argo CD")

    assert [c.managed for c in service_changes(old, new, 5.0)] == ["Argo CD"]
    assert service_removed(new, 5.0).managed == "Argo CD"


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
        told.detail == "last written with ports 8080 (targetPort 8080), selector app=backend-v1; "
        "earlier values were not seen"
    )


def test_endpoints_come_go_turn_and_terminate() -> None:
    ready, unready = endpoint("10.0.0.1"), endpoint("10.0.0.1", ready=False)

    assert of_endpoint(None, ready) == ["10.0.0.1 added, ready"]
    assert of_endpoint(None, unready) == ["10.0.0.1 added, not ready"]
    assert of_endpoint(ready, None) == ["10.0.0.1 gone"]
    assert of_endpoint(ready, unready) == ["10.0.0.1 not ready"]
    assert of_endpoint(unready, ready) == ["10.0.0.1 ready"]
    assert of_endpoint(ready, leaving("10.0.0.1")) == ["10.0.0.1 terminating"]
    assert of_endpoint(ready, ready) == []


def test_an_endpoint_s_change_names_its_node() -> None:
    there = {"10.0.0.1": endpoint("10.0.0.1", node="node-b")}

    assert [c.node for c in endpoint_changes("demo-app", "web", there, {}, 5.0)] == ["node-b"]


def test_an_edit_names_what_it_touched_and_which_ports() -> None:
    old = service(port(80, 8080), port(443, 8443, name="tls"))

    def touched(new: Service) -> list[tuple[tuple[Aspect, ...], tuple[int, ...]]]:
        return [(c.aspects, c.ports) for c in service_changes(old, new, 5.0)]

    ported = replace(old, ports=(port(80, 8081), *old.ports[1:]))
    assert touched(ported) == [((Aspect.PORT,), (80,))]
    assert touched(replace(old, ports=old.ports[:1])) == [((Aspect.PORT,), (443,))]
    selector = replace(ported, selector=(("app", "other"),))
    assert touched(selector) == [((Aspect.PORT, Aspect.SELECTOR), (80,))]
    assert touched(replace(old, type="NodePort")) == [((Aspect.ADDRESS,), ())]
    assert touched(replace(old, cluster_ips=("10.96.0.99",))) == [((Aspect.ADDRESS,), ())]
    assert touched(replace(old, internal_traffic_local=True)) == [((Aspect.ROUTING,), ())]
