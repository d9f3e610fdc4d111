import asyncio
import time
from typing import Any

import aiohttp
import pytest

from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store
from tests.sandbox.conftest import Client

SERVICES = "/api/v1/namespaces/default/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"


def service(name: str, port: Any = 80, **more: Any) -> Any:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": port}], **more}}


def deployment(name: str, label: str = "web") -> Any:
    template = {
        "metadata": {"labels": {"app": label}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    }
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


def status(message: str, reason: str, code: int, details: Any = None) -> Any:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        **({} if details is None else {"details": details}),
        "code": code,
    }


async def test_a_service_is_stored_with_the_defaults_of_the_real_server(api: Client) -> None:
    code, made = await api("POST", SERVICES, service("a"))

    assert code == 201
    assert made["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "clusterIP": "127.96.0.1",
        "clusterIPs": ["127.96.0.1"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }
    assert (
        made["kind"],
        made["apiVersion"],
        made["status"],
    ) == ("Service", "v1", {"loadBalancer": {}})
    assert (200, made) == await api("GET", f"{SERVICES}/a")


async def test_refusals_are_those_of_the_real_server(api: Client) -> None:
    await api("POST", SERVICES, service("a"))
    gone = {"name": "nowhere", "kind": "services"}
    gone_too = {"name": "d", "group": "apps", "kind": "deployments"}
    for method, path, body, expected in [
        ("GET", f"{SERVICES}/nowhere", None,
         status('services "nowhere" not found', "NotFound", 404, gone)),
        ("GET", f"{DEPLOYMENTS}/d", None,
         status('deployments.apps "d" not found', "NotFound", 404, gone_too)),
        ("POST", SERVICES, service("a"),
         status('services "a" already exists', "AlreadyExists", 409,
                {"name": "a", "kind": "services"})),
        ("POST", "/api/v1/namespaces/nope/services", service("a"),
         status('namespaces "nope" not found', "NotFound", 404,
                {"name": "nope", "kind": "namespaces"})),
        ("POST", SERVICES, {"metadata": {"name": "b", "namespace": "x"}},
         status("the namespace of the provided object does not match the namespace sent on the "
                "request", "BadRequest", 400)),
        ("PUT", f"{SERVICES}/a", service("b"),
         status("the name of the object (b) does not match the name on the URL (a)",
                "BadRequest", 400)),
        ("GET", "/api/v1/nonsense", None,
         status("the server could not find the requested resource", "NotFound", 404, {})),
        ("POST", f"{SERVICES}/a", {},
         status("the server does not allow this method on the requested resource",
                "MethodNotAllowed", 405, {})),
        ("GET", "/api/v1/pods?resourceVersion=abc", None,
         status('invalid resource version: resourceVersion: Invalid value: "abc": '
                'strconv.ParseUint: parsing "abc": invalid syntax', "BadRequest", 400)),
        ("GET", "/api/v1/pods?fieldSelector=spec.foo%3Dbar", None,
         status("field label not supported: spec.foo", "BadRequest", 400)),
        ("DELETE", "/api/v1/namespaces/default", None,
         status('namespaces "default" is forbidden: this namespace may not be deleted',
                "Forbidden", 403, {"name": "default", "kind": "namespaces"})),
    ]:  # fmt: skip
        assert (expected["code"], expected) == await api(method, path, body), path


async def test_an_update_from_an_old_version_is_a_conflict(api: Client) -> None:
    _, made = await api("POST", SERVICES, service("a"))
    await api("PATCH", f"{SERVICES}/a", {"metadata": {"labels": {"x": "y"}}}, kind=MERGE)

    code, refused = await api("PUT", f"{SERVICES}/a", made)

    assert code == 409
    assert refused["message"] == (
        'Operation cannot be fulfilled on services "a": the object has been modified; please '
        "apply your changes to the latest version and try again"
    )


async def test_bodies_that_are_not_spoken_are_refused(api: Client) -> None:
    for kind, method, path in [
        ("text/plain", "POST", SERVICES),
        ("application/vnd.kubernetes.protobuf", "POST", SERVICES),
        ("application/json", "PATCH", f"{SERVICES}/a"),
    ]:
        code, refused = await api(method, path, b"{}", kind=kind)
        assert (code, refused["reason"]) == (415, "UnsupportedMediaType")
    assert (await api("POST", SERVICES, b"{bad"))[0] == 400
    assert (await api("POST", SERVICES, b"[]"))[0] == 400


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("application/vnd.kubernetes.protobuf,application/json", 200),
        ("*/*", 200),
        ("application/json;stream=watch", 200),
        ("application/vnd.kubernetes.protobuf", 406),
        ("text/html", 406),
    ],
)
async def test_json_is_the_answer_to_whoever_accepts_it(
    api: Client, accept: str, answer: int
) -> None:
    async with api.session.get(
        f"{api.server.url}/api/v1/services", headers={"Accept": accept}
    ) as response:
        assert answer == response.status
        assert response.content_type == "application/json"


async def test_who_writes_is_named_by_field_manager_or_else_by_user_agent(api: Client) -> None:
    await api("POST", f"{SERVICES}?fieldManager=me", service("a"))
    async with api.session.patch(
        f"{api.server.url}{SERVICES}/a",
        data='{"spec":{"ports":[{"port":80,"targetPort":81}]}}',
        headers={"User-Agent": "kubectl/v1.36.2 (linux/amd64)", "Content-Type": MERGE},
    ) as response:
        patched = await response.json()

    entries = patched["metadata"]["managedFields"]
    assert [entry["manager"] for entry in entries] == ["me", "kubectl"]
    port: Any = {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}}}
    assert {"f:spec": {"f:ports": port}} == entries[1]["fieldsV1"]


async def test_a_dry_run_answers_and_stores_nothing(api: Client) -> None:
    version = api.store.version

    assert (await api("POST", f"{SERVICES}?dryRun=All", service("a")))[0] == 201
    assert (await api("GET", f"{SERVICES}/a"))[0] == 404
    assert version == api.store.version
    await api("POST", SERVICES, service("a"))
    patch = {"spec": {"sessionAffinity": "ClientIP"}}
    _, shown = await api("PATCH", f"{SERVICES}/a?dryRun=All", patch, kind=MERGE)
    assert shown["spec"]["sessionAffinity"] == "ClientIP"
    assert (await api("DELETE", f"{SERVICES}/a?dryRun=All"))[0] == 200
    assert (await api("GET", f"{SERVICES}/a"))[1]["spec"]["sessionAffinity"] == "None"
    assert (await api("POST", f"{SERVICES}?dryRun=Some", service("b")))[0] == 400


async def test_a_generated_name_is_new_every_time(api: Client) -> None:
    pod = {
        "metadata": {"generateName": "p-"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }

    names = {(await api("POST", PODS, pod))[1]["metadata"]["name"] for _ in range(5)}

    assert len(names) == 5
    assert all(name.startswith("p-") and len(name) == 7 for name in names)


async def test_status_is_written_through_its_subresource_only(api: Client) -> None:
    await api("POST", DEPLOYMENTS, {**deployment("d"), "status": {"replicas": 9}})
    both = {"spec": {"replicas": 7}, "status": {"replicas": 3}}

    _, plain = await api("PATCH", f"{DEPLOYMENTS}/d", both, kind=MERGE)
    assert (plain["spec"]["replicas"], plain["status"]) == (7, {})
    both["spec"]["replicas"] = 8
    _, below = await api("PATCH", f"{DEPLOYMENTS}/d/status", both, kind=MERGE)
    assert (below["spec"]["replicas"], below["status"]) == (7, {"replicas": 3})
    assert below["metadata"]["generation"] == 2
    assert below["metadata"]["managedFields"][-1]["subresource"] == "status"


async def test_a_workload_is_scaled_through_its_scale(api: Client) -> None:
    await api("POST", DEPLOYMENTS, deployment("d"))

    _, scale = await api("GET", f"{DEPLOYMENTS}/d/scale")
    assert (
        scale["kind"],
        scale["apiVersion"],
        scale["spec"],
        scale["status"],
    ) == ("Scale", "autoscaling/v1", {"replicas": 1}, {"replicas": 0, "selector": "app=web"})
    scale["spec"]["replicas"] = 3
    assert (await api("PUT", f"{DEPLOYMENTS}/d/scale", scale))[1]["spec"]["replicas"] == 3
    assert (await api("PUT", f"{DEPLOYMENTS}/d/scale", scale))[0] == 409
    patch = {"spec": {"replicas": 5}}
    await api("PATCH", f"{DEPLOYMENTS}/d/scale", patch, kind=MERGE)
    _, now = await api("GET", f"{DEPLOYMENTS}/d")
    assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (5, 3)
    assert (await api("GET", f"{SERVICES}/a/scale"))[0] == 404


async def test_server_side_apply_creates_merges_and_tells_of_conflicts(api: Client) -> None:
    apply = "application/apply-patch+yaml"
    applied = b"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}"

    assert (await api("PATCH", f"{SERVICES}/a", applied, kind=apply))[0] == 422
    assert (await api("PATCH", f"{SERVICES}/a?fieldManager=m", applied, kind=apply))[0] == 201
    code, again = await api("PATCH", f"{SERVICES}/a?fieldManager=m", applied, kind=apply)
    assert (code, again["metadata"]["managedFields"][0]["operation"]) == (200, "Apply")
    patch = {"spec": {"type": "NodePort"}}
    await api("PATCH", f"{SERVICES}/a?fieldManager=other", patch, kind=MERGE)
    wanted = applied.replace(b"{ports:", b"{type: ClusterIP, ports:")
    code, refused = await api("PATCH", f"{SERVICES}/a?fieldManager=m", wanted, kind=apply)
    assert (
        code,
        refused["message"],
    ) == (409, 'Apply failed with 1 conflict: conflict with "other": .spec.type')
    _, forced = await api("PATCH", f"{SERVICES}/a?fieldManager=m&force=true", wanted, kind=apply)
    assert forced["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in forced["spec"]["ports"][0]


async def test_an_invalid_patch_is_unprocessable(api: Client) -> None:
    await api("POST", SERVICES, service("a"))
    patch = [{"op": "test", "path": "/spec/type", "value": "x"}]

    refused = await api("PATCH", f"{SERVICES}/a", patch, kind="application/json-patch+json")

    words = "the server rejected our request due to an error in our request"
    assert (422, status(words, "Invalid", 422, {})) == refused


async def test_an_event_is_the_same_in_both_groups(api: Client) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "message": "Started",
        "count": 1,
    }
    await api("POST", "/api/v1/namespaces/default/events", event)

    _, new = await api("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")

    assert (
        new["apiVersion"],
        new["note"],
        new["regarding"],
    ) == ("events.k8s.io/v1", "Started", {"kind": "Pod", "name": "p"})
    new["metadata"] = {"name": "f"}
    assert (await api("POST", "/apis/events.k8s.io/v1/namespaces/default/events", new))[0] == 201
    assert api.store.get("events", "default", "f")["message"] == "Started"


async def test_a_collection_is_deleted_by_selector(api: Client) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        made = service(name)
        made["metadata"]["labels"] = {"l": label}
        await api("POST", SERVICES, made)

    code, deleted = await api("DELETE", f"{SERVICES}?labelSelector=l%3Dx")

    assert (code, [i["metadata"]["name"] for i in deleted["items"]]) == (200, ["a", "b"])
    assert [s["metadata"]["name"] for s in api.store.list("services")] == ["c"]


async def test_with_a_token_only_who_knows_it_is_answered() -> None:
    server = ApiServer(Store(), token="secret")
    await server.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/api/v1/pods") as response:
            assert response.status == 401
            assert status("Unauthorized", "Unauthorized", 401) == await response.json()
        bearer = {"Authorization": "Bearer secret"}
        async with session.get(f"{server.url}/api/v1/pods", headers=bearer) as response:
            assert response.status == 200
    await server.stop()


async def test_without_a_token_it_stays_on_loopback() -> None:
    with pytest.raises(ValueError, match=r"may not listen on 0\.0\.0\.0"):
        await ApiServer(Store()).start("0.0.0.0")


async def test_it_stops_soon_with_watches_open_read_and_unread() -> None:
    store = Store()
    server = ApiServer(store)
    opened: list[tuple[str, str]] = []
    closed: list[tuple[str, str]] = []
    server.on_watch_open = lambda *who: opened.append(who)
    server.on_watch_close = lambda *who: closed.append(who)
    await server.start()
    headers = {"User-Agent": "edgeprobe/1"}
    async with aiohttp.ClientSession(headers=headers, read_bufsize=1) as session:
        url = f"{server.url}/api/v1/configmaps?watch=1"
        watches = [await session.get(url) for _ in range(5)]
        for number in range(40):  # more than the sockets' buffers hold, and nobody reads
            data = {"data": "x" * 200_000}
            store.create("configmaps", {"metadata": {"name": f"c{number}"}, "data": data})
            await asyncio.sleep(0)
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 10  # aiohttp would wait for them for a minute
        for watch in watches:
            watch.close()
    assert [("edgeprobe/1", "127.0.0.1")] * 5 == opened == closed
