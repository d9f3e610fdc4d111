"""What the API server says of itself: its resources, its version, and just enough OpenAPI.

The OpenAPI documents hold no schemas. They tell kubectl that the server validates fields and
honours dry runs, and leave the computing of apply patches to the types built into kubectl. The
server then drops no unknown field and reports none.
"""

import platform
from typing import Any

from probe.sandbox.resources import VERBS, Resource, groups, in_group

Obj = dict[str, Any]

OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What the document of openapi_v2 is; kubectl asks for nothing else."""

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""uname -m -> GOARCH."""

VERSION: Obj = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+sandbox",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": f"linux/{_MACHINES.get(platform.machine(), platform.machine())}",
}
"""The API as of 1.36, which the captured answers in the tests come from."""


def document(path: str, *, aggregated: bool) -> Obj | None:
    """The discovery document at `path`, None where there is none.

    `aggregated`: the client accepts AGGREGATED, which only /api and /apis have.
    """
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            return VERSION
        case ["api"]:
            return _discovery([""]) if aggregated else _legacy_versions()
        case ["apis"]:
            return _discovery(groups()) if aggregated else _group_list()
        case ["api", "v1"]:
            return _resource_list("", "v1")
        case ["apis", group] if group in groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        case ["apis", group, "v1"] if group in groups():
            return _resource_list(group, f"{group}/v1")
        case ["openapi", "v3"]:
            return _openapi_index()
        case ["openapi", "v3", "api", "v1"]:
            return _openapi("", "/api/v1")
        case ["openapi", "v3", "apis", group, "v1"] if group in groups():
            return _openapi(group, f"/apis/{group}/v1")
        case _:
            return None


def is_aggregated(path: str) -> bool:
    return path.strip("/") in ("api", "apis")


def openapi_v2() -> bytes:
    """An OpenAPI v2 document, in protobuf, that knows of no type.

    kubectl fetches it to validate a `kind: List`, and takes types that it does not find for valid.
    """
    version = VERSION["gitVersion"].encode()
    info = _bytes(1, b"Kubernetes") + _bytes(2, version)
    return _bytes(1, b"2.0") + _bytes(2, info)


def _bytes(number: int, value: bytes) -> bytes:
    """A field of openapi.v2.Document or Info; short, so that its length is one byte."""
    return bytes([number << 3 | 2, len(value)]) + value


def _legacy_versions() -> Obj:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group_list() -> Obj:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in groups()]}


def _group(group: str) -> Obj:
    version = {"groupVersion": f"{group}/v1", "version": "v1"}
    return {"name": group, "versions": [version], "preferredVersion": version}


def _resource_list(group: str, group_version: str) -> Obj:
    resources = [entry for r in in_group(group) for entry in _resource_entries(r)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _resource_entries(resource: Resource) -> list[Obj]:
    entry = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
        **({"shortNames": list(resource.short)} if resource.short else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
    }
    below = [
        {
            "name": f"{resource.plural}/{subresource}",
            "singularName": "",
            "namespaced": resource.namespaced,
            **_response_kind(resource, subresource),
            "verbs": ["get", "patch", "update"],
        }
        for subresource in resource.subresources
    ]
    return [entry, *below]


def _response_kind(resource: Resource, subresource: str) -> Obj:
    if subresource == "scale":
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    return {"kind": resource.kind}


def _discovery(names: list[str]) -> Obj:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_group_discovery(name) for name in names],
    }


def _group_discovery(group: str) -> Obj:
    version = {
        "version": "v1",
        "resources": [_discovered(r) for r in in_group(group)],
        "freshness": "Current",
    }
    return {"metadata": {"name": group} if group else {}, "versions": [version]}


def _discovered(resource: Resource) -> Obj:
    own_kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    below = [
        {
            "subresource": subresource,
            "responseKind": {**own_kind, **_response_kind(resource, subresource)},
            "verbs": ["get", "patch", "update"],
        }
        for subresource in resource.subresources
    ]
    return {
        "resource": resource.plural,
        "responseKind": own_kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(VERBS),
        **({"shortNames": list(resource.short)} if resource.short else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
        **({"subresources": below} if below else {}),
    }


def _openapi_index() -> Obj:
    paths = ["api/v1", *(f"apis/{group}/v1" for group in groups())]
    # The hash is what kubectl caches a document under.
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={VERSION['gitVersion']}"}
            for path in paths
        }
    }


def _openapi(group: str, root: str) -> Obj:
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {
            f"{root}/{'namespaces/{namespace}/' if r.namespaced else ''}{r.plural}/{{name}}": {
                "patch": _openapi_patch(r)
            }
            for r in in_group(group)
        },
        "components": {"schemas": {}},
    }


def _openapi_patch(resource: Resource) -> Obj:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    return {
        "operationId": f"patch{resource.kind}",
        "parameters": parameters,
        "requestBody": {"content": {"application/merge-patch+json": {}}, "required": True},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
