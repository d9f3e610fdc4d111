import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.sandbox.patching import PatchError, json_patch, merge_patch, strategic_merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


# RFC 7386, appendix A.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "merged"), MERGES)
def test_a_merge_patch_does_what_the_rfc_shows(target: Any, patch: Any, merged: Any) -> None:
    assert merged == merge_patch(target, patch)


# RFC 6902, appendix A, and what kubectl sends.
OPERATIONS: list[tuple[Any, list[Any], Any]] = [
    ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    ({"a": 1}, [{"op": "add", "path": "", "value": []}], []),
    ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
    ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
    ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}],
     {"a": {}, "c": {"d": 1}}),
    ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}],
     {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a/b": 1, "m~n": 2}, [{"op": "test", "path": "/a~1b", "value": 1},
                            {"op": "test", "path": "/m~0n", "value": 2}], {"a/b": 1, "m~n": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "patch", "patched"), OPERATIONS)
def test_a_json_patch_does_what_the_rfc_shows(target: Any, patch: Any, patched: Any) -> None:
    assert patched == json_patch(target, patch)


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "add"},
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "test", "path": "/a", "value": True}],
        [{"op": "remove", "path": "/nowhere"}],
        [{"op": "replace", "path": "/nowhere", "value": 1}],
        [{"op": "add", "path": "/nowhere/below", "value": 1}],
        [{"op": "add", "path": "/list/01", "value": 1}],
        [{"op": "add", "path": "/list/9", "value": 1}],
        [{"op": "move", "from": "/list", "path": "/list/0"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "increment", "path": "/a"}],
        [7],
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(patch: Any) -> None:
    target = {"a": 1, "list": [1]}
    with pytest.raises(PatchError):
        json_patch(target, patch)
    assert target == {"a": 1, "list": [1]}


def pod(*containers: Any) -> Any:
    return {"spec": {"containers": list(containers)}}


# (what, object, patch, patched)
STRATEGIC: list[tuple[str, Any, Any, Any]] = [
    (
        "containers are merged by name",
        pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}),
        pod({"name": "b", "image": "2"}),
        pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}),
    ),
    (
        "a new container is appended",
        pod({"name": "a"}),
        pod({"name": "b"}),
        pod({"name": "a"}, {"name": "b"}),
    ),
    (
        "an item is deleted by directive",
        pod({"name": "a"}, {"name": "b"}),
        pod({"name": "a", "$patch": "delete"}),
        pod({"name": "b"}),
    ),
    (
        "a list is replaced by directive",
        pod({"name": "a"}, {"name": "b"}),
        pod({"name": "c"}, {"$patch": "replace"}),
        pod({"name": "c"}),
    ),
    (
        "an object is replaced by directive",
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"b": "2", "$patch": "replace"}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    (
        "an object is emptied by directive",
        {"spec": {"strategy": {"type": "Recreate"}}},
        {"spec": {"strategy": {"$patch": "delete"}}},
        {"spec": {"strategy": {}}},
    ),
    (
        "the env of a container is merged by name, and null removes",
        pod({"name": "a", "env": [{"name": "X", "value": "1"}], "tty": True}),
        pod({"name": "a", "env": [{"name": "Y", "value": "2"}], "tty": None}),
        pod({"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}),
    ),
    (
        "container ports are merged by containerPort",
        pod({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}),
        pod({"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}),
        pod({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}),
    ),
    (
        "Service ports are merged by port",
        {"spec": {"ports": [{"port": 80, "targetPort": 1, "name": "http"}]}},
        {"spec": {"ports": [{"port": 80, "targetPort": 2}]}},
        {"spec": {"ports": [{"port": 80, "targetPort": 2, "name": "http"}]}},
    ),
    (
        "the ports of an EndpointSlice are atomic",
        {"ports": [{"port": 80, "name": "http"}]},
        {"ports": [{"port": 81}]},
        {"ports": [{"port": 81}]},
    ),
    (
        "tolerations are atomic",
        {"spec": {"tolerations": [{"key": "a"}]}},
        {"spec": {"tolerations": [{"key": "b"}]}},
        {"spec": {"tolerations": [{"key": "b"}]}},
    ),
    (
        "conditions are merged by type, also where there were none",
        {"status": {}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    ),
    (
        "finalizers are a set",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    (
        "values are deleted from a list of plain values",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    (
        "the order of a list follows the directive, the server's own items keep their places",
        pod({"name": "a"}, {"name": "sidecar"}, {"name": "b"}),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
                "containers": [{"name": "c"}],
            }
        },
        pod({"name": "sidecar"}, {"name": "b"}, {"name": "c"}, {"name": "a"}),
    ),
    (
        "only retained keys stay",
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
]


@pytest.mark.parametrize(("what", "target", "patch", "patched"), STRATEGIC)
def test_a_strategic_merge_patch_knows_kubernetes_lists(
    what: str, target: Any, patch: Any, patched: Any
) -> None:
    before = copy.deepcopy((target, patch))

    assert patched == strategic_merge_patch(target, patch), what
    assert before == (target, patch)


@pytest.mark.parametrize(
    "patch", [pod({"image": "no name"}), {"spec": {"$patch": "explode"}}, [], "text"]
)
def test_a_strategic_merge_patch_that_makes_no_sense_is_refused(patch: Any) -> None:
    with pytest.raises(PatchError):
        strategic_merge_patch(pod({"name": "a"}), patch)


@given(OBJECTS, OBJECTS)
def test_merging_a_patch_twice_is_merging_it_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)

    assert once == merge_patch(once, patch)


@given(OBJECTS)
def test_an_empty_patch_changes_nothing(target: Any) -> None:
    assert target == merge_patch(target, {})
    assert target == json_patch(target, [])
    assert target == strategic_merge_patch(target, {})


@given(OBJECTS, st.text(alphabet="xyz/~", max_size=3), JSON)
def test_what_a_json_patch_adds_it_can_test_and_remove(target: Any, key: str, value: Any) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    target.pop(key, None)
    add = {"op": "add", "path": path, "value": value}
    test = {"op": "test", "path": path, "value": value}

    assert target == json_patch(target, [add, test, {"op": "remove", "path": path}])
