import json
from typing import Any

import pytest

from probe.sandbox.asking import Target, target
from probe.sandbox.discovery import AGGREGATED, OPENAPI_V2
from probe.sandbox.resources import RESOURCES, find
from tests.sandbox.conftest import Client


async def test_every_resource_of_the_table_is_listed_and_served(api: Client) -> None:
    for resource in RESOURCES:
        root = f"/apis/{resource.group}/v1" if resource.group else "/api/v1"
        _, listed = await api("GET", root)
        entry = next(e for e in listed["resources"] if e["name"] == resource.plural)
        assert (resource.kind, resource.namespaced) == (entry["kind"], entry["namespaced"])
        code, answer = await api("GET", f"{root}/{resource.plural}")
        assert (200, f"{resource.kind}List") == (code, answer["kind"])


async def test_both_forms_of_discovery_say_the_same(api: Client) -> None:
    _, versions = await api("GET", "/api")
    assert versions["versions"] == ["v1"]
    _, groups = await api("GET", "/apis")
    async with api.session.get(
        f"{api.server.url}/apis", headers={"Accept": f"{AGGREGATED},application/json"}
    ) as response:
        assert response.headers["Content-Type"] == AGGREGATED
        aggregated = json.loads(await response.read())

    names = [group["name"] for group in groups["groups"]]
    assert names == [item["metadata"]["name"] for item in aggregated["items"]]
    for item in aggregated["items"]:
        _, listed = await api("GET", f"/apis/{item['metadata']['name']}/v1")
        flat = {
            name
            for r in item["versions"][0]["resources"]
            for name in (
                r["resource"],
                *(f"{r['resource']}/{s['subresource']}" for s in r.get("subresources", [])),
            )
        }
        assert flat == {r["name"] for r in listed["resources"]}


async def test_a_group_says_which_version_it_prefers(api: Client) -> None:
    _, group = await api("GET", "/apis/apps")

    assert (group["kind"], group["preferredVersion"]["groupVersion"]) == ("APIGroup", "apps/v1")
    assert (await api("GET", "/apis/nonsense"))[0] == 404


async def test_openapi_tells_kubectl_to_leave_validation_to_the_server(api: Client) -> None:
    _, index = await api("GET", "/openapi/v3")
    _, document = await api("GET", index["paths"]["apis/apps/v1"]["serverRelativeURL"])

    path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    patch = document["paths"][path]["patch"]
    assert {"dryRun", "fieldManager", "fieldValidation"} == {
        parameter["name"] for parameter in patch["parameters"]
    }


async def test_an_openapi_v2_document_without_types_is_served_for_validating_lists(
    api: Client,
) -> None:
    async with api.session.get(f"{api.server.url}/openapi/v2") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, OPENAPI_V2)
        # openapi.v2.Document: swagger is field 1, info field 2.
        assert (await response.read()).startswith(b"\x0a\x032.0\x12")


async def test_it_says_that_it_lives_and_which_version_it_is(api: Client) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        async with api.session.get(api.server.url + path) as response:
            assert (response.status, await response.text()) == (200, "ok")
    assert (await api("GET", "/version"))[1]["gitVersion"] == "v1.36.0+sandbox"


def named(group: str, plural: str, *rest: Any) -> Target | None:
    resource = find(group, "v1", plural)
    assert resource is not None
    return Target(resource, *rest)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/pods", named("", "pods")),
        ("/api/v1/namespaces", named("", "namespaces")),
        ("/api/v1/namespaces/x", named("", "namespaces", "", "x")),
        ("/api/v1/namespaces/x/status", named("", "namespaces", "", "x", "status")),
        ("/api/v1/namespaces/x/pods", named("", "pods", "x")),
        ("/api/v1/namespaces/x/pods/p", named("", "pods", "x", "p")),
        ("/api/v1/namespaces/x/pods/p/status", named("", "pods", "x", "p", "status")),
        ("/apis/apps/v1/namespaces/x/deployments/d/scale",
         named("apps", "deployments", "x", "d", "scale")),
        ("/api/v1/pods/p", None),
        ("/api/v1/namespaces/x/pods/p/log", None),
        ("/api/v1/namespaces/x/nodes", None),
        ("/api/v1/namespaces/x/pods/p/status/more", None),
        ("/api/v2/pods", None),
        ("/apis/apps/v1", None),
        ("/", None),
    ],
)  # fmt: skip
def test_a_path_names_its_target(path: str, found: Target | None) -> None:
    assert found == target(path)
