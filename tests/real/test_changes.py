"""What people and tools do with kubectl on real Kubernetes, as a daemon tells it afterwards."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.real.manifests import READY, Manifest, deployment, service
from tests.real.told import EVERY
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    # What is told here comes from the API server alone: the mode of kube-proxy has no part in it.
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True, scope="session"),
]

SPACE = "changes"
WEB = f"Deployment {SPACE}/web"

Kubectl = Callable[..., Awaitable[str]]


class History:
    """One daemon's changes, each told once: those since the last question."""

    def __init__(self, daemon: Daemon, cluster: Cluster) -> None:
        self.cluster = cluster
        self._daemon = daemon
        self._seen = 0

    async def _new(self) -> list[Any]:
        found = (await self._daemon.json("/api/v1/changes")).get("changes", ())
        return [c for c in reversed(found) if c["kind"] != "endpoint"][self._seen :]

    async def after(self, *command: str, says: str) -> Any:
        """Runs kubectl with this command and waits for the change with that detail; what came
        before it is told, too."""
        await self.cluster.kubectl(*command)
        return await self.says(says)

    async def says(self, detail: str) -> Any:
        found: list[Any] = []

        async def told() -> bool:
            found[:] = await self._new()
            return any(detail in c["detail"] for c in found)

        try:
            await until(told, 60, every=EVERY)
        except TimeoutError:
            raise AssertionError(f"no {detail!r} among {json.dumps(found, indent=1)}") from None
        position = next(i for i, c in enumerate(found) if detail in c["detail"])
        self._seen += position + 1
        return found[position]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def history(cluster: Cluster) -> AsyncIterator[History]:
    node = cluster.nodes[0]
    await cluster.make_space(SPACE)
    web = deployment("web", 2, readinessProbe=READY)
    await cluster.apply(web, service("web", "web"), space=SPACE)
    await cluster.rolled_out("deployment/web", SPACE)
    flags = ("--namespaces", SPACE, "--vantage", "host")
    async with node.inside.daemon(cluster.inner_kubeconfig, *flags, node=node.name) as daemon:
        found = History(daemon, cluster)
        await found.says("edgeprobe started")
        await until(lambda: _knows(daemon), 60, every=EVERY)
        yield found
    await cluster.drop_space(SPACE)


async def _knows(daemon: Daemon) -> bool:
    return bool((await daemon.json(f"/api/v1/services/{SPACE}/web")).get("ports"))


async def test_rollouts_restarts_and_undos_are_told_from_what_to_what(history: History) -> None:
    on = ("-n", SPACE)
    await history.after("set", "env", "deployment/web", "MODE=new", *on, says="env changed")
    ended = await history.says("complete after")
    restart = await history.after("rollout", "restart", "deployment/web", *on, says="restarted")
    await history.says("revision 3")
    undo = ("rollout", "undo", "deployment/web", "--to-revision=2", *on)
    undone = await history.after(*undo, says="rolled back to revision 2")
    await history.says("revision 4")

    assert (restart["kind"], restart["object"], restart["by"]) == (
        "rollout",
        WEB,
        "kubectl-rollout",
    )
    assert ended["detail"].endswith("revision 2")
    assert undone["kind"] == "rollout"


async def test_a_paused_deployment_rolls_when_it_is_resumed(history: History) -> None:
    on = ("deployment/web", "-n", SPACE)
    await history.after("rollout", "pause", *on, says="paused")
    edit = ("set", "image", "deployment/web", "main=probe.test/listener:2", "-n", SPACE)
    held = await history.after(*edit, says="probe.test/listener -> probe.test/listener:2")
    await history.after("rollout", "resume", *on, says="resumed")
    await history.after("rollout", "undo", *on, says="rolled back to")

    assert "no pod is replaced before it is resumed" in held["detail"]
    await history.says("complete after")


async def test_a_scaling_names_who_did_it(history: History) -> None:
    """An autoscaler without metrics scales up to its minReplicas, too."""
    scale = ("scale", "deployment/web", "--replicas=3", "-n", SPACE)
    by_hand = await history.after(*scale, says="replicas: 2 -> 3")
    await history.cluster.apply(AUTOSCALER, space=SPACE)
    by_itself = await history.says("replicas: 3 -> 4 (HorizontalPodAutoscaler)")
    await history.cluster.kubectl("delete", "hpa", "web", "-n", SPACE)
    await history.says("complete after")

    assert (by_hand["kind"], by_hand["by"]) == ("scale", "kubectl")
    assert by_itself["by"] == "kube-controller-manager"


AUTOSCALER: Manifest = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "minReplicas": 4,
        "maxReplicas": 5,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 50},
                },
            }
        ],
    },
}


async def test_an_edit_of_what_argo_cd_keeps_names_both(history: History) -> None:
    mark = ("label", "service/web", "argocd.argoproj.io/instance=shop", "-n", SPACE)
    await history.cluster.kubectl(*mark)
    patch = ("patch", "service/web", "-n", SPACE, "-p", _ports(8081))
    edit = await history.after(*patch, says="targetPort 8080 -> 8081")
    back = ("patch", "service/web", "-n", SPACE, "-p", _ports(8080))
    await history.after(*back, says="targetPort 8081 -> 8080")

    assert (edit["by"], edit["managed"]) == ("kubectl-patch", "Argo CD")


def _ports(target: int) -> str:
    return json.dumps({"spec": {"ports": [{"port": 80, "targetPort": target}]}})


async def test_a_network_policy_is_told_with_whom_it_lets_in(history: History) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }
    await history.cluster.apply(policy, space=SPACE)
    made = await history.says("created for pods app=web: ingress from nobody")
    await history.after("delete", "networkpolicy", "guard", "-n", SPACE, says="deleted")

    assert made["object"] == f"NetworkPolicy {SPACE}/guard"


async def test_a_drained_node_is_told_from_the_cordon_to_the_last_endpoint(
    history: History,
) -> None:
    cluster = history.cluster
    node = cluster.nodes[1].name
    pinned = deployment("there", 2, node=node, readinessProbe=READY)
    await cluster.apply(pinned, service("there", "there"), space=SPACE)
    await cluster.has_endpoints("there", 2, SPACE)
    try:
        cordon = await history.after("cordon", node, says="cordoned")
        whose = "--pod-selector=app in (web,there)"
        await cluster.kubectl("drain", node, "--ignore-daemonsets", "--force", whose)
        drained = await history.says("drained: ")
    finally:
        await cluster.kubectl("uncordon", node)
        await cluster.kubectl("delete", "deployment", "there", "-n", SPACE, "--wait=false")
    await history.says("uncordoned")

    assert (cordon["kind"], cordon["object"]) == ("node", f"Node {node}")
    assert cordon["by"] is not None
    assert drained["object"] == cordon["object"]
