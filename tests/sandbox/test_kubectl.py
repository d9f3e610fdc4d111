"""A stock kubectl against the sandbox's API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Event, Store
from tests.running import KUBECTL, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        KUBECTL is None,
        reason="no kubectl in KUBEBUILDER_ASSETS, /usr/local/kubebuilder/bin or PATH",
    ),
]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: nginx:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""


@dataclass
class Kubectl:
    store: Store
    home: Path

    async def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Runs kubectl; its output, and its errors as well."""
        assert KUBECTL is not None
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": str(self.home), "KUBECONFIG": str(self.home / "config")},
        )
        try:
            async with asyncio.timeout(60):
                output, _ = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert code == process.returncode, output.decode()
        return output.decode()

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self(*arguments, "-o", "json"))


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    store = Store()
    server = ApiServer(store)
    await server.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {"server": server.url}}],
        "users": [{"name": "sandbox", "user": {}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
        "current-context": "sandbox",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    yield Kubectl(store, tmp_path)
    await server.stop()


def roll_out(store: Store) -> None:
    """A controller for the poor: every Deployment is complete, and has a ReplicaSet a revision."""

    def on_event(event: Event) -> None:
        if event.resource == "deployments" and event.type != "DELETED":
            asyncio.get_running_loop().call_soon(reconcile, event.object["metadata"]["name"])

    def reconcile(name: str) -> None:
        deployment = store.get("deployments", "default", name)
        meta, spec = deployment["metadata"], deployment["spec"]
        sets = store.list("replicasets")
        revisions = "deployment.kubernetes.io/revision"
        if not any(rs["spec"]["template"] == spec["template"] for rs in sets):
            number = str(len(sets) + 1)
            meta.setdefault("annotations", {})[revisions] = number
            kind = {"apiVersion": "apps/v1", "kind": "Deployment", "controller": True}
            replica_set = {
                "kind": "ReplicaSet",
                "apiVersion": "apps/v1",
                "metadata": {
                    "name": f"{name}-{number}",
                    "namespace": "default",
                    "labels": spec["template"]["metadata"]["labels"],
                    "annotations": {revisions: number},
                    "ownerReferences": [{**kind, "name": name, "uid": meta["uid"]}],
                },
                "spec": {
                    "replicas": 1,
                    "selector": spec["selector"],
                    "template": spec["template"],
                },
            }
            store.create("replicasets", replica_set)
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        deployment["status"] = {
            "observedGeneration": meta["generation"],
            **dict.fromkeys(counts, spec["replicas"]),
            "conditions": [{"type": "Available", "status": "True"}],
        }
        store.update("deployments", deployment, manager="kube-controller-manager")

    store.subscribe(on_event)


async def test_it_finds_out_what_there_is(kubectl: Kubectl) -> None:
    assert "v1.36.0+sandbox" in await kubectl("version")
    resources = await kubectl("api-resources")
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [
        line.split() for line in resources.splitlines()
    ]
    assert [
        line.split()[0] for line in (await kubectl("get", "ns", "--no-headers")).splitlines()
    ] == ["default", "kube-system"]
    # The second time from its cache.
    assert "No resources found in default namespace." in await kubectl("get", "all")


async def test_it_prints_tables(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=WEB)

    plain = await kubectl("get", "deploy,svc")
    assert [
        " ".join(line.split() if line.startswith("NAME") else line.split()[:-1])
        for line in plain.splitlines()
    ] == [
        "NAME READY UP-TO-DATE AVAILABLE AGE",
        "deployment.apps/web 0/2 0 0",
        "",
        "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
        "service/web ClusterIP 127.96.0.1 <none> 80/TCP",
    ]
    assert "CONTAINERS   IMAGES    SELECTOR" in await kubectl("get", "deploy", "-o", "wide")
    everywhere = await kubectl("get", "svc", "-A", "--sort-by=.metadata.name")
    assert everywhere.startswith("NAMESPACE")
    assert await kubectl("get", "svc", "-o", "name") == "service/web\n"
    assert "targetPort: 8080" in await kubectl("get", "svc", "web", "-o", "yaml")
    assert "TargetPort:               8080/TCP" in await kubectl("describe", "svc", "web")


async def test_it_selects(kubectl: Kubectl) -> None:
    for name, label in (("a", "x"), ("b", "y")):
        await kubectl("run", name, "--image=nginx", f"--labels=l={label}")

    assert await kubectl("get", "pods", "-o", "name", "-l", "l in (x,z)") == "pod/a\n"
    by_field = await kubectl("get", "pods", "-o", "name", "--field-selector", "metadata.name=b")
    assert by_field == "pod/b\n"
    paged = await kubectl("get", "pods", "-o", "name", "--chunk-size=1")
    assert paged.split() == ["pod/a", "pod/b"]


async def test_it_applies_twice_and_what_was_left_out_is_gone(kubectl: Kubectl) -> None:
    assert "service/web created" in await kubectl("apply", "-f", "-", stdin=WEB)
    changed = WEB.replace("8080}]\n---", "8081}]\n---").replace('{name: B, value: "2"}', "")
    changed = changed.replace("nginx:1", "nginx:2")

    told = await kubectl("apply", "-f", "-", stdin=changed)

    assert told.splitlines() == ["deployment.apps/web configured", "service/web unchanged"]
    container = (await kubectl.json("get", "deploy", "web"))["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert (container["image"], container["env"]) == ("nginx:2", [{"name": "A", "value": "1"}])
    assert container["ports"] == [{"containerPort": 8081, "protocol": "TCP"}]
    assert "deployment.apps/web unchanged" in await kubectl("apply", "-f", "-", stdin=changed)


async def test_it_applies_on_the_server_side(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "service/web serverside-applied" in await kubectl(*apply, stdin=WEB)
    await kubectl("set", "image", "deploy/web", "c=nginx:9")

    refused = await kubectl(*apply, stdin=WEB, code=1)
    assert 'conflict with "kubectl-set"' in refused
    assert 'containers[name="c"].image' in refused
    await kubectl(*apply, "--force-conflicts", stdin=WEB.replace("nginx:1", "nginx:3"))
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await kubectl("get", "deploy", "web", "-o", image) == "nginx:3"


async def test_it_goes_over_from_one_way_of_applying_to_the_other(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=WEB)
    await kubectl("apply", "--server-side", "-f", "-", stdin=WEB.replace("nginx:1", "nginx:2"))

    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await kubectl("get", "deploy", "web", "-o", image) == "nginx:2"


async def test_it_patches_in_three_ways_and_signs(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=WEB)
    strategic = '{"spec":{"ports":[{"port":80,"targetPort":9000}]}}'
    json_patch = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":9001}]'

    await kubectl("patch", "svc", "web", "-p", strategic)
    port = (await kubectl.json("get", "svc", "web"))["spec"]["ports"][0]
    assert port == {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9000}
    await kubectl("patch", "svc", "web", "--type=json", "-p", json_patch)
    merge = '{"spec":{"sessionAffinity":"ClientIP"}}'
    await kubectl("patch", "svc", "web", "--type=merge", "-p", merge)

    service = kubectl.store.get("services", "default", "web")
    assert (
        service["spec"]["ports"][0]["targetPort"],
        service["spec"]["sessionAffinity"],
    ) == (9001, "ClientIP")
    last = service["metadata"]["managedFields"][-1]
    ports: Any = {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}}}}
    config: Any = {"f:clientIP": {"f:timeoutSeconds": {}}}
    affinity: Any = {"f:sessionAffinity": {}, "f:sessionAffinityConfig": config}
    assert ("kubectl-patch", {"f:spec": {**ports, **affinity}}) == (
        last["manager"],
        last["fieldsV1"],
    )


async def test_it_labels_annotates_scales_and_sets(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=WEB)

    await kubectl("label", "deploy", "web", "tier=front")
    await kubectl("annotate", "deploy", "web", "note=x")
    await kubectl("scale", "deploy/web", "--current-replicas=2", "--replicas=5")
    signed = kubectl.store.get("deployments", "default", "web")["metadata"]["managedFields"]
    assert "scale" not in [entry.get("subresource") for entry in signed]
    await kubectl("set", "image", "deploy/web", "c=nginx:2")
    await kubectl("set", "env", "deploy/web", "B-", "C=3")

    web = kubectl.store.get("deployments", "default", "web")
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert (
        web["metadata"]["labels"]["tier"],
        web["metadata"]["annotations"]["note"],
        web["spec"]["replicas"],
        container["image"],
        [variable["name"] for variable in container["env"]],
    ) == ("front", "x", 5, "nginx:2", ["A", "C"])


async def test_it_rolls_out_and_back(kubectl: Kubectl) -> None:
    roll_out(kubectl.store)
    await kubectl("create", "-f", "-", stdin=WEB)
    done = 'deployment "web" successfully rolled out'

    assert done in await kubectl("rollout", "status", "deploy/web")
    await kubectl("set", "image", "deploy/web", "c=nginx:2")
    assert done in await kubectl("rollout", "status", "deploy/web")
    await kubectl("rollout", "restart", "deploy/web")
    assert [
        line.split()[0]
        for line in (await kubectl("rollout", "history", "deploy/web")).splitlines()[2:]
        if line
    ] == ["1", "2", "3"]
    await kubectl("rollout", "undo", "deploy/web", "--to-revision=1")
    web = kubectl.store.get("deployments", "default", "web")
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1"
    await kubectl("wait", "deploy/web", "--for=condition=Available", "--timeout=5s")


async def test_it_waits_until_what_it_deletes_is_gone(kubectl: Kubectl) -> None:
    await kubectl("run", "p", "--image=nginx")
    pod = kubectl.store.get("pods", "default", "p")
    pod["spec"]["nodeName"] = "node-a"
    kubectl.store.update("pods", pod)

    deleting = asyncio.create_task(kubectl("delete", "pod", "p"))

    def deleted() -> bool:
        return "deletionTimestamp" in kubectl.store.get("pods", "default", "p")["metadata"]

    await until(deleted)
    assert "Terminating" in await kubectl("get", "pod", "p")
    assert not deleting.done()
    kubectl.store.delete("pods", "default", "p")
    assert 'pod "p" deleted' in await deleting
    assert 'pods "p" not found' in await kubectl("get", "pod", "p", code=1)


async def test_it_deletes_a_namespace_with_all_that_is_in_it(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "x")
    await kubectl("-n", "x", "create", "deployment", "d", "--image=nginx", "--port=80")
    await kubectl("-n", "x", "expose", "deployment", "d", "--port=80", "--target-port=8080")
    await kubectl("-n", "x", "create", "configmap", "c", "--from-literal=a=b")
    assert kubectl.store.get("services", "x", "d")["spec"]["ports"][0]["targetPort"] == 8080

    await kubectl("delete", "namespace", "x")

    assert [
        r for r in ("deployments", "services", "configmaps") if kubectl.store.list(r, "x")
    ] == []


async def test_it_watches(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=WEB)
    assert KUBECTL is not None
    watch = await asyncio.create_subprocess_exec(
        KUBECTL,
        "get",
        "svc",
        "-w",
        "--output-watch-events",
        stdout=asyncio.subprocess.PIPE,
        env={"HOME": str(kubectl.home), "KUBECONFIG": str(kubectl.home / "config")},
    )
    assert watch.stdout is not None
    try:
        async with asyncio.timeout(60):
            lines = [(await watch.stdout.readline()).split()[:2] for _ in range(2)]
            await kubectl("label", "svc", "web", "a=b")
            lines.append((await watch.stdout.readline()).split()[:2])
            await kubectl("delete", "svc", "web")
            lines.append((await watch.stdout.readline()).split()[:2])
    finally:
        watch.terminate()
        await watch.communicate()

    assert lines == [
        [b"EVENT", b"NAME"],
        [b"ADDED", b"web"],
        [b"MODIFIED", b"web"],
        [b"DELETED", b"web"],
    ]


async def test_it_shows_what_the_server_refuses(kubectl: Kubectl) -> None:
    bad = WEB.replace("port: 80,", "port: 70000,")

    told = await kubectl("apply", "-f", "-", stdin=bad, code=1)

    assert (
        'The Service "web" is invalid: spec.ports[0].port: Invalid value: 70000: '
        "must be between 1 and 65535, inclusive"
    ) in told
    lost = await kubectl("create", "-n", "nowhere", "-f", "-", stdin=WEB, code=1)
    assert 'namespaces "nowhere" not found' in lost


async def test_a_dry_run_on_the_server_changes_nothing(kubectl: Kubectl) -> None:
    version = kubectl.store.version

    told = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=WEB)

    assert "service/web created (server dry run)" in told
    assert version == kubectl.store.version


async def test_a_list_is_created_and_applied_as_its_items_are(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=WEB)
    listed = await kubectl("get", "deploy,svc", "-o", "json")
    await kubectl("delete", "deploy,svc", "--all")

    assert "service/web created" in await kubectl("create", "-f", "-", stdin=_unversioned(listed))
    again = await kubectl("get", "svc", "-o", "yaml")
    assert "service/web configured" in await kubectl("apply", "-f", "-", stdin=again)


def _unversioned(listed: str) -> str:
    items = json.loads(listed)["items"]
    for item in items:
        del item["metadata"]["resourceVersion"]
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
