"""`probe run` with the rights that deploy/probe.yaml grants, with fewer, and with a token that is
no longer good."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import UNAVAILABLE
from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.processes import ROOT
from tests.real.manifests import Manifest, deployment, service
from tests.real.told import QUICK, Told
from tests.running import Daemon, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True),
]

SHIPPED: list[Manifest] = list(yaml.safe_load_all((ROOT / "deploy" / "probe.yaml").read_text()))
NAME = "edgeprobe"

READ = (
    *("services", "endpointslices", "deployments", "statefulsets", "daemonsets"),
    *("nodes", "namespaces", "networkpolicies"),
)


def shipped(kind: str) -> Manifest:
    (found,) = (each for each in SHIPPED if each["kind"] == kind)
    return found


def role(name: str, without: tuple[str, ...]) -> Manifest:
    """The shipped ClusterRole under that name, without the right to these resources."""
    made = shipped("ClusterRole")
    kept = (
        {**rule, "resources": [each for each in rule["resources"] if each not in without]}
        for rule in made["rules"]
    )
    rules = [rule for rule in kept if rule["resources"]]
    return {**made, "metadata": {"name": name}, "rules": rules}


@asynccontextmanager
async def account(cluster: Cluster, space: str, *without: str) -> AsyncIterator[str]:
    """The name of a ServiceAccount there that has the shipped ClusterRole, less these resources."""
    name = f"{NAME}-{secrets.token_hex(4)}"
    binding = {
        **shipped("ClusterRoleBinding"),
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space}],
    }
    await cluster.apply(service_account(name), role(name, without), binding, space=space)
    user = f"system:serviceaccount:{space}:{name}"
    try:  # who asks at once may be refused: the authorizer hears of what is stored by a watch
        await until(lambda: allowed(cluster, user, "list", "", "nodes"), every=0.1)
        yield name
    finally:
        await cluster.kubectl("delete", "clusterrole,clusterrolebinding", name)


def service_account(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


async def kubeconfig(cluster: Cluster, space: str, name: str) -> Path:
    """For a program on a node that is that ServiceAccount."""
    path = f"/api/v1/namespaces/{space}/serviceaccounts/{name}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    granted = await cluster.control_plane.request("POST", path, asked)
    config = yaml.safe_load(cluster.inner_kubeconfig.read_text())
    config["users"][0]["user"] = {"token": granted["status"]["token"]}
    written = cluster.folder / f"kubeconfig-{name}"
    written.write_text(yaml.safe_dump(config))
    return written


@asynccontextmanager
async def running(cluster: Cluster, space: str, *without: str) -> AsyncIterator[Daemon]:
    """`probe run` on node1, over the whole cluster, with the shipped rights less these. The Service
    `peers`, if there is one, tells it who it is."""
    flags = (*QUICK, "--peers", f"{space}/peers")
    async with account(cluster, space, *without) as name:
        config = await kubeconfig(cluster, space, name)
        async with cluster.nodes[0].inside.daemon(config, *flags, node="node1") as daemon:
            yield daemon


async def says(daemon: Daemon, space: str, verdict: str) -> bool:
    return await daemon.verdict(space, "web") == verdict


async def synced(daemon: Daemon) -> dict[str, float]:
    return {r: await daemon.value("edgeprobe_discovery_synced", resource=r) for r in READ}


def refusals(daemon: Daemon) -> dict[str, str]:
    """What the log calls trouble, by resource."""
    return {r["resource"]: r["message"] for r in daemon.command.records if "trouble" in r}


async def test_the_shipped_rights_are_enough(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web"), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    async with running(cluster, space) as daemon:
        await until(lambda: says(daemon, space, "healthy"), 90, every=0.2)
        await until(lambda: all_are(daemon, 1.0), 90)
        assert refusals(daemon) == {}
        await mistake(cluster, space)
        await until(lambda: says(daemon, space, "port_mismatch"), 90, every=0.2)
        await until(lambda: is_posted(cluster, space), 90, every=0.2)


async def is_posted(cluster: Cluster, space: str) -> bool:
    """Whether an Event tells of the mistake."""
    found = await cluster.kubectl("get", "events", "-n", space)
    return "PortMismatch" in found and "service/web" in found


async def test_without_the_right_to_events_it_says_so_once_and_works_on(
    cluster: Cluster, space: str
) -> None:
    await cluster.apply(deployment("web"), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    async with running(cluster, space, "events") as daemon:
        told = Told(daemon, space, "web")
        await told.becomes("healthy")
        await mistake(cluster, space)
        await told.becomes("port_mismatch")
        await until(lambda: events_refused(daemon), 90)
        await cluster.kubectl("patch", "service", "web", "-n", space, "--type=json", "-p", MENDED)
        await told.becomes("healthy")
        assert len(events_refused(daemon)) == 1
        assert not await is_posted(cluster, space)


MENDED = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'


def events_refused(daemon: Daemon) -> list[str]:
    said = (r["message"] for r in daemon.command.records if r["logger"] == "probe.events")
    return [message for message in said if "forbids us to create events" in message]


async def all_are(daemon: Daemon, value: float) -> bool:
    return set((await synced(daemon)).values()) == {value}


async def all_but(daemon: Daemon, *unread: str) -> bool:
    """Whether all resources but these are known."""
    return await synced(daemon) == {r: float(r not in unread) for r in READ}


async def mistake(cluster: Cluster, space: str) -> None:
    patch = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8081}]'
    await cluster.kubectl("patch", "service", "web", "-n", space, "--type=json", "-p", patch)


async def test_with_the_shipped_rights_it_knows_of_meshes_and_policies(
    cluster: Cluster, space: str
) -> None:
    """Nobody enforces policies here: the pod drops what comes from node1 by itself. The daemon is
    one of its peers' pods, as far as it can tell."""
    pods = deployment("web", node="node2"), deployment("daemon", node="node1")
    headless = service("peers", "daemon", clusterIP="None")
    await cluster.apply(*pods, service("web", "web"), headless, space=space)
    await cluster.has_endpoints("web", 1, space)
    await cluster.has_endpoints("peers", 1, space)
    (pod,) = await cluster.pods("app=web", space)
    async with running(cluster, space) as daemon:
        told = Told(daemon, space, "web")
        await told.becomes("healthy")
        await cluster.kubectl("label", "namespace", space, "istio-injection=enabled")
        assert "istio mesh" in (await told.becomes("masked"))["summary"]
        await cluster.kubectl("label", "namespace", space, "istio-injection-")
        await told.becomes("healthy")

        await cluster.apply(friends_only("friends-only", "friend"), space=space)
        pod.faults.drop(source=cluster.nodes[0].address)
        found = await told.becomes("denied")
        assert "NetworkPolicy friends-only selects the pods" in found["summary"]
        await cluster.apply(friends_only("friends-only", "daemon"), space=space)
        await told.becomes("blackholed")
        await cluster.apply(friends_only("friends-only", "daemon", port=9000), space=space)
        await told.becomes("denied")
        assert refusals(daemon) == {}


async def test_with_the_shipped_rights_it_looks_for_a_replica_set_that_nobody_owns(
    cluster: Cluster, space: str
) -> None:
    made = deployment("web")
    spec = {**made["spec"], "replicas": 1}
    bare = {**made, "kind": "ReplicaSet", "spec": spec}
    await cluster.apply(bare, service("web", "web", target=8081), space=space)
    await cluster.has_endpoints("web", 1, space)
    async with running(cluster, space) as daemon:
        await Told(daemon, space, "web").becomes("port_mismatch")
        assert refusals(daemon) == {}
    async with running(cluster, space, "replicasets") as daemon:
        await Told(daemon, space, "web").becomes("not_listening")
        await until(lambda: "replicasets" in refusals(daemon), 90)


def friends_only(name: str, app: str, *, port: int = 8080) -> Manifest:
    """A NetworkPolicy that lets pods of that app, of its own namespace, in to that port."""
    rule = {
        "from": [
            {"podSelector": {"matchLabels": {"app": app}}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}},
        ],
        "ports": [{"protocol": "TCP", "port": port, "endPort": port + 1}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [rule]},
    }


async def test_the_shipped_rights_are_to_list_and_watch_what_is_read_and_to_post_events(
    cluster: Cluster, space: str
) -> None:
    async with account(cluster, space) as name:
        user = f"system:serviceaccount:{space}:{name}"
        groups = {
            "": ("services", "nodes", "namespaces", "pods", "secrets"),
            "discovery.k8s.io": ("endpointslices",),
            "apps": ("deployments", "statefulsets", "daemonsets", "replicasets"),
            "networking.k8s.io": ("networkpolicies", "ingresses"),
            "events.k8s.io": ("events",),
        }
        may = {
            (verb, resource)
            for group, resources in groups.items()
            for resource in resources
            for verb in ("get", "list", "watch", "create", "patch", "delete")
            if await allowed(cluster, user, verb, group, resource)
        }
    watched = {(verb, resource) for verb in ("list", "watch") for resource in READ}
    posted = {(verb, "events") for verb in ("create", "patch", "list")}
    assert may == watched | posted | {("list", "replicasets")}


async def allowed(cluster: Cluster, user: str, verb: str, group: str, resource: str) -> bool:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    asked = {"verb": verb, "group": group, "resource": resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": [], "resourceAttributes": asked},
    }
    answer = await cluster.control_plane.request("POST", path, review)
    return bool(answer["status"]["allowed"])


async def test_without_the_right_to_deployments_it_knows_less_and_says_so(
    cluster: Cluster, space: str
) -> None:
    await cluster.apply(deployment("web"), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    async with running(cluster, space, "deployments") as daemon:
        await until(lambda: says(daemon, space, "healthy"), 90, every=0.2)
        await until(lambda: is_ready(daemon), 90)
        await until(lambda: all_but(daemon, "deployments"), 90)
        await until(lambda: refusals(daemon))
        assert refusals(daemon) == {
            "deployments": "the API server forbids us to list deployments: "
            "grant list and watch on deployments in apps"
        }
        await mistake(cluster, space)
        await until(lambda: says(daemon, space, "not_listening"), 90, every=0.2)


async def is_ready(daemon: Daemon) -> bool:
    return (await daemon.get("/readyz"))[0] == 200


async def test_without_the_right_to_services_it_is_not_ready_and_says_so(
    cluster: Cluster, space: str
) -> None:
    async with running(cluster, space, "services", "endpointslices") as daemon:
        await until(lambda: refusals(daemon).keys() >= {"services", "endpointslices"}, 90)
        status, said = await daemon.get("/readyz")
        assert (status, said.splitlines()) == (
            503,
            [
                "services are not listed yet: the API server forbids us to list services: "
                'grant list and watch on services in the core API group ""',
                "endpointslices are not listed yet: the API server forbids us to list "
                "endpointslices: grant list and watch on endpointslices in discovery.k8s.io",
            ],
        )
        assert (await daemon.get("/livez"))[0] == 200
        await until(lambda: all_but(daemon, "services", "endpointslices"), 90)


async def test_a_token_that_was_replaced_is_read_again(cluster: Cluster, space: str) -> None:
    """Its ServiceAccount is deleted and made anew, which ends the old token; the kubelet brings
    the new one later. The API server starts anew so that watches must be asked for again."""
    async with account(cluster, space) as name:
        await cluster.apply(daemon_in_a_pod(name), space=space)
        await cluster.rolled_out(f"deployment/{NAME}", space)
        (pod,) = await cluster.pods(f"app={NAME}", space)
        await cluster.kubectl("delete", "serviceaccount", name, "-n", space)
        await cluster.apply(service_account(name), space=space)
        await cluster.control_plane.kill_api_server()
        await cluster.control_plane.start_api_server()

        await until(lambda: told(pod, "the API server does not accept our credentials"), 90)
        assert not told(pod, "services are watched again")
        cluster.nodes[0].renew_tokens()
        await until(lambda: told(pod, "services are watched again"), 90)
        await cluster.apply(service("late", NAME), space=space)
        await until(lambda: knows(cluster, space, pod, "late"), 90, every=0.2)
        assert told(pod, "dialing as node") == 1


def daemon_in_a_pod(account: str) -> Manifest:
    """A Deployment of the pod that is shipped as a DaemonSet, for one node and one namespace."""
    made = deployment(NAME, node="node1")
    template = made["spec"]["template"]
    spec: Manifest = json.loads(json.dumps(shipped("DaemonSet")["spec"]["template"]["spec"]))
    template["spec"] = {**spec, "serviceAccountName": account, "nodeSelector": NODE}
    return made


NODE = {"kubernetes.io/hostname": "node1"}


def told(pod: RunningPod, beginning: str) -> int:
    """How often its log begins a message so."""
    return pod.log("probe").read_text().count(f'"message": "{beginning}')


async def knows(cluster: Cluster, space: str, pod: RunningPod, name: str) -> bool:
    """Asked by the API server's own proxy to the pod."""
    where = f"/api/v1/namespaces/{space}/pods/http:{pod.name}:9797/proxy"
    try:
        await cluster.control_plane.request("GET", f"{where}/api/v1/services/{space}/{name}")
    except UNAVAILABLE:
        return False
    return True
