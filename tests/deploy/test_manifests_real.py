"""Everything in deploy/ as a real API server takes it, and the DaemonSet's pod where the Pod
Security Standard "restricted" is enforced."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from deploy.manifests.__main__ import DEPLOY, OVERLAYS, VALUES
from deploy.manifests.chart import documents, merged
from tests.cluster.api import MERGE, ApiError
from tests.cluster.apiserver import Cluster, real_cluster
from tests.cluster.binaries import need
from tests.running import kubectl

pytestmark = [
    *(pytest.mark.slow, pytest.mark.apiserver, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
]

EVERYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}

SELECTOR = {"type": "object", "properties": {"matchLabels": STRINGS}}
RELABELING = {
    "type": "object",
    "properties": {
        "sourceLabels": {"type": "array", "items": {"type": "string"}},
        "regex": {"type": "string"},
        "action": {"type": "string", "enum": ["drop", "keep"]},
    },
}
ENDPOINT = {
    "type": "object",
    "properties": {
        "port": {"type": "string"},
        "interval": {"type": "string", "pattern": "^(0|(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?)$"},
        "honorLabels": {"type": "boolean"},
        "metricRelabelings": {"type": "array", "items": RELABELING},
    },
}
RULE = {
    "type": "object",
    "required": ["expr"],
    "properties": {
        "alert": {"type": "string"},
        "annotations": STRINGS,
        "expr": {"type": "string"},
        "for": {"type": "string"},
        "keep_firing_for": {"type": "string"},
        "labels": STRINGS,
    },
}
GROUP = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "interval": {"type": "string"},
        "rules": {"type": "array", "items": RULE},
    },
}
SPECS = {
    "PodMonitor": {
        "jobLabel": {"type": "string"},
        "selector": SELECTOR,
        "podMetricsEndpoints": {"type": "array", "items": ENDPOINT},
    },
    "PrometheusRule": {"groups": {"type": "array", "items": GROUP}},
}
"""As much of the Prometheus operator's schemas as we use; any other field is refused. Written after
its API reference, v0.90."""


def definition(kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    spec = {"type": "object", "properties": SPECS[kind]}
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """With the namespace of the manifests, and what the Prometheus operator defines."""
    need("kubectl")
    async with real_cluster() as cluster:
        (space,) = (d for d in shipped() if d["kind"] == "Namespace")
        await cluster.request("POST", "/api/v1/namespaces", space)
        for kind in SPECS:
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            await cluster.request("POST", path, definition(kind))
            name = f"crd/{kind.lower()}s.monitoring.coreos.com"
            await kubectl(cluster.kubeconfig, "wait", "--for=condition=Established", name)
        yield cluster


def shipped() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "probe.yaml").read_text()))


async def tried(cluster: Cluster, *arguments: str) -> list[str]:
    """What the API server would make of it, one line each. A warning is a failure."""
    flags = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    said = await kubectl(cluster.kubeconfig, "apply", *flags, "--warnings-as-errors", *arguments)
    return said.splitlines()


async def test_the_manifest_is_taken_as_it_is(cluster: Cluster) -> None:
    await relabel(cluster, shipped()[0])
    said = await tried(cluster, "-f", str(DEPLOY / "probe.yaml"))

    assert len(said) == len(shipped())
    assert all(line.endswith("serverside-applied (server dry run)") for line in said)


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_an_overlay_is_taken_and_makes_what_the_chart_makes(
    cluster: Cluster, overlay: str
) -> None:
    folder = str(DEPLOY / "kustomize" / "overlays" / overlay)
    made = list(yaml.safe_load_all(await kubectl(cluster.kubeconfig, "kustomize", folder)))
    (space,) = (d for d in made if d["kind"] == "Namespace")
    made.remove(space)

    assert named(made) == named(documents(merged(VALUES, OVERLAYS[overlay])))
    await relabel(cluster, space)
    assert len(await tried(cluster, "-k", folder)) == len(made) + 1
    await pod_is_taken(cluster, made, space)


async def relabel(cluster: Cluster, space: dict[str, Any]) -> None:
    """The namespace as it says: a dry run has left it as it was, and would warn of the pods."""
    path = f"/api/v1/namespaces/{space['metadata']['name']}"
    await cluster.request("PATCH", path, space, MERGE)


def named(found: list[dict[str, Any]]) -> dict[tuple[str, str, str], Any]:
    """By what tells them apart; a container's variables too: a patch puts its own first."""
    for each in found:
        if each["kind"] == "DaemonSet":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["env"].sort(key=lambda variable: variable["name"])
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in found
    }


async def test_the_chart_with_its_own_values_and_with_others_is_taken(
    cluster: Cluster, tmp_path: Path
) -> None:
    everything = {
        "priorityClassName": "system-node-critical",
        "maxUnavailable": 1,
        "image": {"digest": "sha256:" + 64 * "0", "pullSecrets": ["registry"]},
        "settings": {"interval": 5, "events": False, "max_series": 1_000_000},
        "apiKey": {"value": "of our own"},
        "podLabels": {"team": "sre"},
        "podAnnotations": {"example.com/owner": "sre"},
    }
    await relabel(cluster, shipped()[0])
    for values in ({}, everything):
        path = tmp_path / "chart.yaml"
        made = documents(values)
        path.write_text(yaml.safe_dump_all(made))
        assert len(await tried(cluster, "-f", str(path))) == len(made)


async def test_the_pod_is_taken_where_restricted_is_enforced_and_with_a_host_network_is_not(
    cluster: Cluster,
) -> None:
    (space,) = (d for d in shipped() if d["kind"] == "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    await pod_is_taken(cluster, shipped(), space)
    await pod_is_taken(cluster, documents(), space)
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await pod_is_taken(cluster, documents({"hostNetwork": True}), space)


async def pod_is_taken(cluster: Cluster, made: list[dict[str, Any]], space: dict[str, Any]) -> None:
    """In a namespace like that. Raises ApiError."""
    (daemons,) = (each for each in made if each["kind"] == "DaemonSet")
    template = daemons["spec"]["template"]
    name = (await cluster.request("POST", "/api/v1/namespaces", like(space)))["metadata"]["name"]
    pod = {"metadata": {**template["metadata"], "generateName": "p-"}, "spec": template["spec"]}
    await cluster.request("POST", f"/api/v1/namespaces/{name}/pods", pod)


def like(space: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"generateName": "t-", "labels": space["metadata"]["labels"]}}
