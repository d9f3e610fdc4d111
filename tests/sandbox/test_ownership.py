from typing import Any

from probe.sandbox.ownership import apply, conflicts, fields_of, note_update, readable

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
PORT = 'k:{"port":8080,"protocol":"TCP"}'


def service(target: int, **more: Any) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "backend-v1", "namespace": "demo-app"},
        "spec": {"ports": [{"protocol": "TCP", "port": 8080, "targetPort": target}], **more},
    }


def owners(obj: Any) -> list[tuple[str, str, str, Any]]:
    return [
        (e["manager"], e["operation"], e["time"], e["fieldsV1"])
        for e in obj["metadata"].get("managedFields", [])
    ]


def test_who_creates_an_object_owns_its_fields_but_not_its_identity() -> None:
    obj = service(8080)

    note_update(None, obj, "kubectl-create", now=NOW)

    fields: Any = {"f:spec": {"f:ports": {PORT: {".": {}, "f:port": {}, "f:protocol": {},
                                            "f:targetPort": {}}}}}  # fmt: skip
    assert [("kubectl-create", "Update", NOW, fields)] == owners(obj)


def test_who_changes_a_field_takes_it_from_who_had_it() -> None:
    """As a real API server tells of a targetPort that Argo CD applied and a person patched."""
    old = apply(None, service(8081), "argocd-controller", now=NOW)
    new = service(8080)
    new["metadata"]["managedFields"] = old["metadata"]["managedFields"]

    note_update(old, new, "kubectl-patch", now=LATER)

    applied: Any = {"f:spec": {"f:ports": {PORT: {".": {}, "f:port": {}, "f:protocol": {}}}}}
    patched: Any = {"f:spec": {"f:ports": {PORT: {"f:targetPort": {}}}}}
    assert [
        ("argocd-controller", "Apply", NOW, applied),
        ("kubectl-patch", "Update", LATER, patched),
    ] == owners(new)


def test_an_update_that_changes_nothing_changes_no_owner() -> None:
    old = service(8080)
    note_update(None, old, "kubectl-create", now=NOW)
    new = {**service(8080), "metadata": dict(old["metadata"])}

    note_update(old, new, "somebody-else", now=LATER)

    assert old == new


def test_a_removed_field_is_nobodys() -> None:
    old = service(8080, sessionAffinity="ClientIP")
    note_update(None, old, "one", now=NOW)
    new = {**service(8080), "metadata": dict(old["metadata"])}

    note_update(old, new, "two", now=LATER)

    assert [manager for manager, *_ in owners(new)] == ["one"]
    assert "f:sessionAffinity" not in owners(new)[0][3]["f:spec"]


def test_applying_sets_and_merges() -> None:
    live = service(8080, clusterIP="127.96.0.1")

    result = apply(live, service(8081), "argo", now=NOW)

    assert service(8081, clusterIP="127.96.0.1")["spec"] == result["spec"]


def test_what_a_manager_applied_before_and_leaves_out_now_is_removed() -> None:
    first = service(8080, sessionAffinity="None", selector={"app": "a"})
    first["spec"]["ports"].append({"protocol": "TCP", "port": 9090, "targetPort": 9090})
    live = apply(None, first, "argo", now=NOW)

    result = apply(live, service(8080, selector={"app": "a"}), "argo", now=LATER)

    assert service(8080, selector={"app": "a"})["spec"] == result["spec"]


def test_what_another_manager_owns_too_is_not_removed() -> None:
    live = apply(None, service(8080, sessionAffinity="None"), "argo", now=NOW)
    live = apply(live, service(8080, sessionAffinity="None"), "flux", now=NOW)

    result = apply(live, service(8080), "argo", now=LATER)

    assert result["spec"]["sessionAffinity"] == "None"


def test_a_list_item_stays_while_somebody_owns_a_part_of_it() -> None:
    live = apply(None, service(8080), "argo", now=NOW)
    patched = service(9999)
    patched["metadata"]["managedFields"] = live["metadata"]["managedFields"]
    note_update(live, patched, "kubectl-patch", now=NOW)
    without = service(0)
    without["spec"] = {"selector": {"app": "a"}}

    result = apply(patched, without, "argo", now=LATER)

    assert result["spec"]["ports"][0]["targetPort"] == 9999
    assert result["spec"]["ports"][0]["port"] == 8080


def test_who_scales_takes_the_field_and_is_named_nowhere() -> None:
    """Seen of `kubectl scale` at a 1.36 API server."""
    old: Any = {"metadata": {"name": "d"}, "spec": {"replicas": 2, "paused": True}}
    note_update(None, old, "kubectl-create", now=NOW)
    new = {"metadata": dict(old["metadata"]), "spec": {"replicas": 3, "paused": True}}

    note_update(old, new, "kubectl", now=LATER, subresource="scale")

    assert owners(new) == [("kubectl-create", "Update", NOW, {"f:spec": {"f:paused": {}}})]


def test_applying_the_same_again_is_no_change() -> None:
    live = apply(None, service(8080), "argo", now=NOW)

    assert live == apply(live, service(8080), "argo", now=LATER)


def test_changing_what_another_manager_owns_is_a_conflict() -> None:
    live = apply(None, service(8080), "argo", now=NOW)

    assert conflicts(live, service(8081), "flux") == [
        ("argo", '.spec.ports[port=8080,protocol="TCP"].targetPort')
    ]
    assert conflicts(live, service(8080), "flux") == []
    assert conflicts(live, service(8081), "argo") == []


def test_finalizers_are_owned_one_by_one() -> None:
    obj = {"metadata": {"finalizers": ["a/b"], "labels": {"x": "y"}}}

    paths = {readable(path) for path in fields_of(obj)}

    assert {'.metadata.finalizers[="a/b"]', ".metadata.labels.x"} == paths


def test_an_applied_finalizer_goes_with_its_manager() -> None:
    first = service(8080)
    first["metadata"]["finalizers"] = ["a/b"]
    live = apply(None, first, "argo", now=NOW)

    assert "finalizers" not in apply(live, service(8080), "argo", now=LATER)["metadata"]
