import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probe.sandbox.store import NotFound
from tests.sandbox.conftest import Client

pytestmark = pytest.mark.slow

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, *, node: str = "node-a", grace: int = 30, phase: str = "Running") -> Any:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": grace, "containers": []},
        "status": {"phase": phase},
    }


async def test_a_running_pod_is_marked_and_left_to_its_kubelet(api: Client) -> None:
    api.store.create("pods", pod("p", grace=20))

    asked = datetime.now(UTC).replace(microsecond=0)  # as times of Kubernetes are
    code, marked = await api("DELETE", f"{PODS}/p")
    answered = datetime.now(UTC)

    meta, grace = marked["metadata"], timedelta(seconds=20)
    ends = datetime.fromisoformat(meta["deletionTimestamp"])
    assert (code, marked["kind"], meta["deletionGracePeriodSeconds"]) == (200, "Pod", 20)
    assert asked + grace <= ends <= answered + grace
    assert (200, marked) == await api("GET", f"{PODS}/p")


@pytest.mark.parametrize(
    ("path", "body", "grace"),
    [
        (f"{PODS}/p", {"gracePeriodSeconds": 5, "propagationPolicy": "Foreground"}, 5),
        (f"{PODS}/p?gracePeriodSeconds=7", None, 7),
    ],
)
async def test_the_grace_period_can_be_asked_for(
    api: Client, path: str, body: Any, grace: int
) -> None:
    api.store.create("pods", pod("p"))

    _, marked = await api("DELETE", path, body)

    assert grace == marked["metadata"]["deletionGracePeriodSeconds"]


async def test_a_grace_period_is_shortened_but_never_prolonged(api: Client) -> None:
    api.store.create("pods", pod("p", grace=20))
    await api("DELETE", f"{PODS}/p")

    _, longer = await api("DELETE", f"{PODS}/p?gracePeriodSeconds=60")
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 20
    _, shorter = await api("DELETE", f"{PODS}/p?gracePeriodSeconds=2")
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 2
    assert (await api("DELETE", f"{PODS}/p?gracePeriodSeconds=0"))[0] == 200
    assert api.store.list("pods") == []


async def test_a_pod_that_nobody_runs_goes_at_once(api: Client) -> None:
    api.store.create("pods", pod("unbound", node=""))
    api.store.create("pods", pod("ended", phase="Succeeded"))

    await api("DELETE", f"{PODS}/unbound")
    await api("DELETE", f"{PODS}/ended")

    assert api.store.list("pods") == []


async def test_a_finalizer_holds_an_object_until_it_is_removed(api: Client) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    await api("POST", path, {"metadata": {"name": "c", "finalizers": ["a/b"]}})

    _, held = await api("DELETE", f"{path}/c")
    assert "deletionTimestamp" in held["metadata"]
    assert (await api("GET", f"{path}/c"))[0] == 200
    freed = {"metadata": {"finalizers": None}}
    await api("PATCH", f"{path}/c", freed, kind="application/merge-patch+json")
    assert (await api("GET", f"{path}/c"))[0] == 404


async def test_a_precondition_that_does_not_hold_is_a_conflict(api: Client) -> None:
    path = "/api/v1/namespaces/default/services"
    _, made = await api("POST", path, {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}})

    code, refused = await api("DELETE", f"{path}/a", {"preconditions": {"uid": "x"}})

    assert code == 409
    assert (
        'Operation cannot be fulfilled on Service "a": the UID in the precondition (x) does not '
        f"match the UID in record ({made['metadata']['uid']}). The object might have been deleted "
        "and then recreated"
    ) == refused["message"]
    right = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await api("DELETE", f"{path}/a", right))[0] == 200


async def test_most_resources_answer_with_a_status(api: Client) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    _, made = await api("POST", path, {"metadata": {"name": "l"}})

    _, answer = await api("DELETE", f"{path}/l")

    assert {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": "l",
            "group": "coordination.k8s.io",
            "kind": "leases",
            "uid": made["metadata"]["uid"],
        },
    } == answer


async def test_a_namespace_takes_its_objects_along_and_waits_for_its_pods(api: Client) -> None:
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})
    await api("POST", "/api/v1/namespaces/x/configmaps", {"metadata": {"name": "c"}})
    running = pod("p")
    running["metadata"]["namespace"] = "x"
    api.store.create("pods", running)

    _, answer = await api("DELETE", "/api/v1/namespaces/x")

    assert answer["status"]["phase"] == "Terminating"
    assert api.store.list("configmaps", "x") == []
    assert "deletionTimestamp" in api.store.get("pods", "x", "p")["metadata"]
    code, refused = await api(
        "POST", "/api/v1/namespaces/x/configmaps", {"metadata": {"name": "d"}}
    )
    assert (code, refused["reason"]) == (403, "Forbidden")
    api.store.create("events", {"metadata": {"name": "Killing", "namespace": "x"}})
    api.store.delete("pods", "x", "p")
    await asyncio.sleep(0)
    assert api.store.list("events", "x") == []
    with pytest.raises(NotFound):
        api.store.get("namespaces", "", "x")


async def test_an_empty_namespace_goes_at_once(api: Client) -> None:
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})

    await api("DELETE", "/api/v1/namespaces/x")

    assert (await api("GET", "/api/v1/namespaces/x"))[0] == 404
