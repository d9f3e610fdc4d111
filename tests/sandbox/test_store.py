from typing import Any

import pytest

from probe.sandbox.store import AlreadyExists, Conflict, Event, Gone, NotFound, Store


def config(name: str, namespace: str = "default", **more: Any) -> Any:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


def names(objects: Any) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def test_what_goes_in_and_comes_out_is_never_shared() -> None:
    store = Store()
    given = config("a", data={"k": "v"})
    made = store.create("configmaps", given)
    given["data"]["k"] = made["data"]["k"] = "changed"

    assert store.get("configmaps", "default", "a")["data"]["k"] == "v"


def test_every_change_has_a_version_of_its_own_across_resources() -> None:
    store = Store()
    versions = [
        store.create("configmaps", config("a"))["metadata"]["resourceVersion"],
        store.create("secrets", config("a"))["metadata"]["resourceVersion"],
        store.update("configmaps", config("a", data={}))["metadata"]["resourceVersion"],
        store.delete("secrets", "default", "a")["metadata"]["resourceVersion"],
    ]

    assert versions == ["2", "3", "4", "5"]


def test_refusals_name_the_object() -> None:
    store = Store()
    store.create("configmaps", config("a"))

    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        store.create("configmaps", config("a"))
    with pytest.raises(NotFound, match='configmaps "b" not found') as missing:
        store.get("configmaps", "default", "b")
    assert (missing.value.resource, missing.value.name) == ("configmaps", "b")
    with pytest.raises(Conflict):
        store.update(
            "configmaps", {"metadata": {**config("a")["metadata"], "resourceVersion": "1"}}
        )


def test_a_change_of_the_spec_counts_as_a_generation_and_nothing_else_does() -> None:
    store = Store()
    store.create("deployments", config("d", spec={"replicas": 1}))
    store.update("deployments", config("d", spec={"replicas": 1}, status={"replicas": 1}))
    assert store.get("deployments", "default", "d")["metadata"]["generation"] == 1
    store.update("deployments", config("d", spec={"replicas": 2}))
    assert store.get("deployments", "default", "d")["metadata"]["generation"] == 2
    assert "generation" not in store.create("services", config("s", spec={}))["metadata"]


def test_of_an_endpoint_slice_all_but_annotations_counts() -> None:
    """It has no spec. Seen of a 1.36 API server, where a rollout of three pods makes it 12."""
    store = Store()
    found: list[int] = []
    contents: list[Any] = [{}, {"endpoints": [1]}, {"endpoints": [1], "ports": [1]}]
    for more in contents:
        write = store.update if found else store.create
        found.append(write("endpointslices", config("s", **more))["metadata"]["generation"])
    for meta in ({"labels": {"a": "b"}}, {"labels": {"a": "b"}, "annotations": {"c": "d"}}):
        slice_ = config("s", endpoints=[1], ports=[1])
        slice_["metadata"] |= meta
        found.append(store.update("endpointslices", slice_)["metadata"]["generation"])

    assert found == [1, 2, 3, 4, 4]


def test_that_a_pod_was_bound_does_not_count_and_that_it_is_to_go_does() -> None:
    store = Store()
    store.create("pods", config("p", spec={"a": 1}))
    bound = store.update("pods", config("p", spec={"a": 1, "nodeName": "n"}))
    going = config("p", spec={"a": 1, "nodeName": "n"})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    marked = store.update("pods", going)

    assert [each["metadata"]["generation"] for each in (bound, marked)] == [1, 2]


def test_who_writes_a_status_signs_for_the_subresource() -> None:
    store = Store()
    store.create("deployments", config("d", spec={"replicas": 1}), manager="kubectl")
    told = config("d", spec={"replicas": 1}, status={"replicas": 1})
    made = store.update("deployments", told, manager="controller", subresource="status")

    signed = [(e["manager"], e.get("subresource")) for e in made["metadata"]["managedFields"]]
    assert signed == [("kubectl", None), ("controller", "status")]


def test_an_unchanged_object_makes_no_event() -> None:
    store = Store()
    made = store.create("configmaps", config("a"))

    assert made == store.update("configmaps", made)
    assert store.version == 2


def test_subscribers_hear_of_every_event_until_they_stop() -> None:
    store, heard = Store(), list[Event]()
    stop = store.subscribe(heard.append)
    store.create("configmaps", config("a"))
    store.update("configmaps", config("a", data={"k": "v"}))
    store.delete("configmaps", "default", "a")
    stop()
    store.create("configmaps", config("b"))

    assert [event.type for event in heard] == ["ADDED", "MODIFIED", "DELETED"]
    assert [
        event.previous if event.previous is None else event.previous.get("data", {})
        for event in heard
    ] == [None, {}, {"k": "v"}]


def test_what_happened_since_a_version_is_told_in_order_or_gone() -> None:
    store = Store(history=3)
    for name in "abcd":
        store.create("configmaps", config(name))
    store.create("secrets", config("s"))

    assert names(event.object for event in store.since("configmaps", 3)) == ["c", "d"]
    assert store.since("configmaps", store.version) == []
    with pytest.raises(Gone, match=r"^too old resource version: 2 \(3\)$"):
        store.since("configmaps", 2)


def test_an_earlier_state_can_be_listed_while_it_is_remembered() -> None:
    store = Store(history=4)
    store.create("configmaps", config("a", data={"k": "old"}))
    store.create("configmaps", config("b"))
    then = store.version
    store.update("configmaps", config("a", data={"k": "new"}))
    store.delete("configmaps", "default", "b")
    store.create("configmaps", config("c"))

    assert names(store.list_at("configmaps", "", then)) == ["a", "b"]
    assert store.list_at("configmaps", "default", then)[0]["data"] == {"k": "old"}
    assert names(store.list("configmaps")) == ["a", "c"]
    store.create("configmaps", config("d"))
    store.create("configmaps", config("e"))
    with pytest.raises(Gone):
        store.list_at("configmaps", "", then)


def test_a_dry_run_answers_as_if_and_changes_nothing() -> None:
    store = Store()
    assert "uid" in store.create("configmaps", config("a"), dry_run=True)["metadata"]
    store.create("configmaps", config("a"))
    assert store.update("configmaps", config("a", data={"k": "v"}), dry_run=True)["data"] == {
        "k": "v"
    }
    store.delete("configmaps", "default", "a", dry_run=True)

    assert store.version == 2
    assert "data" not in store.get("configmaps", "default", "a")


def test_the_last_writer_is_the_last_of_the_managers() -> None:
    store = Store()
    store.create("configmaps", config("a", data={"x": "1", "y": "1"}), manager="one")
    store.update("configmaps", config("a", data={"x": "2", "y": "1"}), manager="two")
    made = store.update("configmaps", config("a", data={"x": "2", "y": "3"}), manager="one")

    assert [
        (entry["manager"], entry["fieldsV1"]) for entry in made["metadata"]["managedFields"]
    ] == [("two", {"f:data": {"f:x": {}}}), ("one", {"f:data": {"f:y": {}}})]
