"""What users send by mistake: refused in a real server's words, and harmless to the rest."""

import io
import json
import logging
from typing import Any

import pytest

from probe.sandbox.apiserver import BODY_BYTES
from probe.sandbox.resources import RESOURCES
from probe.sandbox.shapes import sound
from tests.sandbox.conftest import Client
from tests.sandbox.manifests import Obj, deployment, pods, sandbox, service, slices

pytestmark = pytest.mark.slow

SERVICES = "/api/v1/namespaces/default/services"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def named(**fields: Any) -> Obj:
    return {"metadata": {"name": "x"}, **fields}


def ports(*given: Any) -> Obj:
    return named(spec={"ports": list(given)})


# (path, object, what Go's decoder says)
MISFITS: list[tuple[str, Any, str]] = [
    (SERVICES, named(spec=3), "number into Go struct field Service.spec of type v1.ServiceSpec"),
    (SERVICES, named(spec="x"), "string into Go struct field Service.spec of type v1.ServiceSpec"),
    (SERVICES, named(spec={"ports": "x"}),
     "string into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort"),
    (SERVICES, ports("x"),
     "string into Go struct field ServiceSpec.spec.ports of type v1.ServicePort"),
    (SERVICES, ports({"port": "80"}),
     "string into Go struct field ServicePort.spec.ports.port of type int32"),
    (SERVICES, ports({"port": 80.5}),
     "number 80.5 into Go struct field ServicePort.spec.ports.port of type int32"),
    (SERVICES, ports({"port": 80, "targetPort": True}), "bool into Go value of type int32"),
    (SERVICES, named(spec={"selector": {"app": 1}, "ports": [{"port": 80}]}),
     "number into Go struct field ServiceSpec.spec.selector of type string"),
    (SERVICES, {"metadata": "x"},
     "string into Go struct field Service.metadata of type v1.ObjectMeta"),
    (SERVICES, {"metadata": {"name": ["x"]}},
     "array into Go struct field ObjectMeta.metadata.name of type string"),
    (PODS, named(spec={"containers": [{"name": "c", "image": True}]}),
     "bool into Go struct field Container.spec.containers.image of type string"),
    (DEPLOYMENTS, named(spec={"replicas": "3"}),
     "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
    (DEPLOYMENTS, named(spec={"replicas": 99999999999}),
     "number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    (DEPLOYMENTS, named(spec={"template": {"spec": []}}),
     "array into Go struct field PodTemplateSpec.spec.template.spec of type v1.PodSpec"),
    (SLICES, named(addressType="IPv4", endpoints=[{"addresses": "10.0.0.1"}]),
     "string into Go struct field Endpoint.endpoints.addresses of type []string"),
    (SLICES, named(addressType="IPv4", endpoints=[{"addresses": [1]}]),
     "number into Go struct field Endpoint.endpoints.addresses of type string"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "obj", "words"), MISFITS)
async def test_a_value_of_another_type_is_refused_in_the_words_of_the_real_server(
    api: Client, path: str, obj: Any, words: str
) -> None:
    code, refused = await api("POST", path, obj)

    assert (code, refused["reason"]) == (400, "BadRequest")
    assert refused["message"].endswith(f": json: cannot unmarshal {words}")
    assert ' in version "v1" cannot be handled as a ' in refused["message"]


@pytest.mark.parametrize("spec", [None, {"ports": None}, {}])
async def test_a_null_is_a_field_that_is_not_there(api: Client, spec: Any) -> None:
    code, refused = await api("POST", SERVICES, named(spec=spec))

    said = 'Service "x" is invalid: spec.ports: Required value'
    assert (code, refused["message"]) == (422, said)


async def test_a_patch_to_another_type_is_refused_and_changes_nothing(api: Client) -> None:
    await api("POST", SERVICES, ports({"port": 80}))
    before = (await api("GET", f"{SERVICES}/x"))[1]

    for kind, patch in (
        ("application/merge-patch+json", {"spec": {"ports": "x"}}),
        ("application/merge-patch+json", [1]),
        ("application/strategic-merge-patch+json", {"spec": {"ports": [{"port": "x"}]}}),
        ("application/json-patch+json", [{"op": "replace", "path": "/spec", "value": 1}]),
        ("application/apply-patch+yaml", {"spec": 1}),
    ):
        query = "?fieldManager=me" if "apply" in kind else ""
        code, refused = await api("PATCH", f"{SERVICES}/x{query}", patch, kind=kind)
        assert (code, refused["reason"]) == (400, "BadRequest"), kind

    assert before == (await api("GET", f"{SERVICES}/x"))[1]


ODD: list[Any] = [None, True, 1, 1.5, "x", [], [None], [1], {}, {"x": None}, 2**70, "\ud800"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.qualified)
async def test_whatever_is_sent_no_resource_answers_with_a_server_error(
    api: Client, caplog: pytest.LogCaptureFixture, resource: Any
) -> None:
    root = f"/apis/{resource.group}/v1" if resource.group else "/api/v1"
    path = f"{root}{'/namespaces/default' if resource.namespaced else ''}/{resource.plural}"
    whole = [*ODD, *({"metadata": odd} for odd in ODD)]
    fields = ("spec", "status", "data", "stringData", "endpoints", "ports", "addressType", "source")
    inner = ("ports", "selector", "template", "containers", "strategy", "replicas", "clusterIPs")
    bodies = [
        *whole,
        *(named(**{field: odd}) for field in fields for odd in ODD),
        *(named(spec={field: odd}) for field in inner for odd in ODD),
        *({"metadata": {"name": "x", f: o}} for f in ("labels", "ownerReferences", "managedFields")
          for o in ODD),
    ]  # fmt: skip

    for body in bodies:
        for method, where in (("POST", path), ("PUT", f"{path}/x"), ("DELETE", f"{path}/x")):
            code, answer = await api(method, where, json.dumps(body).encode())
            assert code < 500, (method, body, answer)
        # What was taken can be shown, to people as well.
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        async with api.session.get(api.server.url + path, headers=accept) as response:
            assert response.status == 200

    assert not [r for r in caplog.records if r.levelno > logging.DEBUG]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"metadata": NaN}', b"\xff", b"{"])
async def test_a_body_that_is_no_json_is_a_bad_request(api: Client, body: bytes) -> None:
    assert (await api("POST", SERVICES, body))[0] == 400


async def test_yaml_is_read_as_the_json_it_stands_for(api: Client) -> None:
    path = f"{PODS.removesuffix('pods')}configmaps"
    times = b"metadata: {name: a, creationTimestamp: 2026-01-02T03:04:05Z}\ndata: {1: x}"
    endless = b"metadata: {name: b}\ndata: &a {x: *a}"

    assert (await api("POST", path, times, kind="application/yaml"))[1]["data"] == {"1": "x"}
    assert (await api("POST", path, endless, kind="application/yaml"))[0] == 400


async def test_a_body_that_is_too_large_gets_a_status_too(api: Client) -> None:
    body = io.BytesIO(b" " * (BODY_BYTES + 1))
    async with api.session.post(api.server.url + SERVICES, data=body) as response:
        assert response.status == 413
        assert (await response.json())["reason"] == "RequestEntityTooLarge"


async def test_what_fails_for_no_known_reason_is_a_status_without_a_traceback(
    api: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(api.store, "get", fail)
    code, refused = await api("GET", f"{SERVICES}/x")

    assert (code, refused["reason"]) == (500, "InternalError")
    assert refused["message"] == "Internal error occurred: ZeroDivisionError: oh"
    assert not [r for r in caplog.records if r.levelno > logging.DEBUG]


BAD: list[tuple[str, Any]] = [
    *((plural, {"spec": None}) for plural in ("services", "pods", "deployments", "nodes")),
    *((plural, {"spec": "x"}) for plural in ("replicasets", "statefulsets", "daemonsets")),
    ("services", {}),
    ("services", {"spec": {"ports": "x", "selector": {"app": "web"}}}),
    ("services", {"spec": {"ports": [{}], "selector": {"app": "web"}, "clusterIP": "x"}}),
    ("services", {"spec": {"selector": {"app": ["web"]}}}),
    ("pods", {"spec": {"containers": "x"}}),
    ("pods", {"spec": {}}),
    ("deployments", {"spec": {"replicas": "x"}}),
    ("deployments", {"spec": {}}),
    ("endpointslices", {}),
    ("endpointslices", {"addressType": "IPv4", "endpoints": [{"addresses": 1}], "ports": [{}]}),
    ("endpointslices", {"addressType": "IPv4", "endpoints": [{}], "ports": [{"port": 1}]}),
    ("nodes", {"spec": {}, "status": {"addresses": [{}]}}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("plural", "fields"), BAD)
@pytest.mark.parametrize("late", [False, True], ids=["made bad", "becomes bad"])
async def test_one_bad_object_in_the_store_stops_no_controller(
    plural: str, fields: Any, late: bool
) -> None:
    namespace = {} if plural == "nodes" else {"namespace": "demo-app"}
    labels = {"app": "web", "kubernetes.io/service-name": "web"}
    meta = {"name": "bad", **namespace, "labels": labels}
    async with sandbox(nodes=["node-1"]) as cluster:
        if late:
            good: Any = {"spec": {"containers": []} if plural == "pods" else {}}
            cluster.store.create(plural, {"metadata": meta, **good})
            cluster.store.update(plural, {"metadata": meta, **fields})
        else:
            cluster.store.create(plural, {"metadata": meta, **fields})

        cluster.apply(deployment(replicas=1))
        cluster.apply(service())
        await cluster.settled()
        running = [p for p in pods(cluster) if p.get("status", {}).get("phase") == "Running"]
        assert any(p["metadata"]["name"].startswith("web-") for p in running)
        made = [s for s in slices(cluster) if s["metadata"]["name"] != "bad"]
        mine = [e["targetRef"]["name"] for s in made for e in s["endpoints"] or ()]
        assert any(name.startswith("web-") for name in mine)

        cluster.store.delete(plural, namespace.get("namespace", ""), "bad")
        cluster.apply(deployment(name="more", replicas=1))
        await cluster.settled()
        assert [p for p in pods(cluster) if p["metadata"]["name"].startswith("more-")]


async def test_a_subscriber_that_fails_keeps_nobody_from_being_told(api: Client) -> None:
    told: list[str] = []

    def fail(_: Any) -> None:
        raise RuntimeError("oh")

    api.store.subscribe(fail)
    api.store.subscribe(lambda event: told.append(event.type))

    assert (await api("POST", SERVICES, ports({"port": 80})))[0] == 201
    assert told == ["ADDED"]


@pytest.mark.slow
async def test_what_a_controller_cannot_make_sense_of_is_told_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = deployment(name="odd")
    odd["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "many"}}
    async with sandbox(odd, deployment(replicas=1)) as cluster:
        assert [p for p in pods(cluster) if p["metadata"]["name"].startswith("web-")]

    told = [r for r in caplog.records if r.levelno > logging.DEBUG]
    assert told
    assert not any(r.exc_info for r in told)


def test_what_the_sandbox_makes_itself_is_sound() -> None:
    assert sound("services", service())
    assert sound("deployments", deployment())
    assert not sound("services", {"metadata": {"name": "x"}})
