"""`probe check` from where no pod can be reached, through the daemons of deploy/probe.yaml; they
want a key here."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.processes import ROOT
from tests.real.manifests import READY, Manifest, deployment, service
from tests.running import KUBECTL, Ended, probe, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True, scope="session"),
]

SPACE = "vantages"
KEY = "tops3cret"

PACE = {"INTERVAL": "1", "TIMEOUT": "1"}
"""Settings of the daemons: their usual pace is that of test_shipped.py."""

DRAIN = {"preStop": {"sleep": {"seconds": 3}}}
"""Longer than kube-proxy's usual lag: who rolls without it is watched for 15 s longer."""

RIGHTS: Manifest = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "asks-daemons", "namespace": "edgeprobe"},
    "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get", "create"]},
    ],
}
"""What the error for who may not ask says is needed."""


def with_key() -> list[Manifest]:
    documents: list[Manifest] = list(
        yaml.safe_load_all((ROOT / "deploy" / "probe.yaml").read_text())
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "edgeprobe", "namespace": "edgeprobe"},
        "stringData": {"api-key": KEY},
    }
    at = [each["kind"] for each in documents].index("DaemonSet")
    (container,) = documents[at]["spec"]["template"]["spec"]["containers"]
    container["env"] += [{"name": f"PROBE_{name}", "value": value} for name, value in PACE.items()]
    return [*documents[:at], secret, *documents[at:]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(cluster: Cluster) -> AsyncIterator[list[RunningPod]]:
    """Their pods, once each of them finds the Service `web` healthy."""
    await cluster.make_space(SPACE)
    web = deployment("web", 2, grace=30, readinessProbe=READY, lifecycle=DRAIN)
    await cluster.apply(web, service("web", "web"), space=SPACE)
    await cluster.is_free("edgeprobe")
    await cluster.apply(*with_key(), space="edgeprobe")
    try:
        await cluster.rolled_out("daemonset/edgeprobe", "edgeprobe")
        pods = await cluster.pods("app.kubernetes.io/name=edgeprobe", "edgeprobe")

        async def healthy() -> bool:
            found = await asked(cluster, "--from", "nodes")
            return found.code == 0 and len(found.document["sources"]) == len(cluster.nodes)

        await until(healthy, 90, every=0.5)
        yield pods
    finally:
        for space in (SPACE, "edgeprobe"):
            await cluster.drop_space(space)
        await cluster.kubectl("delete", "clusterrole,clusterrolebinding", "edgeprobe")


async def asked(
    cluster: Cluster, *flags: str, kubeconfig: Path | None = None, key: str = KEY
) -> Ended:
    """`probe check` on this machine, from which no route leads to a pod."""
    config = str(kubeconfig or cluster.kubeconfig)
    return await probe(
        *("check", "svc", "web", "-n", SPACE, "-o", "json", "--kubeconfig", config, *flags),
        PROBE_API_KEY=key,
    )


def seen_by(document: Any) -> set[str]:
    return {edge["from"] for port in document["ports"] for edge in port["edges"]}


async def test_from_a_laptop_the_nodes_are_asked_and_on_a_node_it_dials_itself(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    names = {node.name for node in cluster.nodes}
    laptop = await asked(cluster)
    config = str(cluster.inner_kubeconfig)
    command = ("check", "svc", "web", "-n", SPACE, "-o", "json", "--kubeconfig", config)

    async def dialed_there() -> Any:
        """Not where it takes a pod longer to answer than the command waits."""
        ended = await cluster.nodes[0].inside.probe(*command)
        vantages = [s["vantage"] for s in ended.document["sources"]]
        return ended if vantages == ["local"] else None

    inside = await until(dialed_there, 60, every=0.5)
    assert (laptop.code, laptop.document["verdict"]) == (0, "healthy"), laptop.err
    assert {s["node"] for s in laptop.document["sources"]} == seen_by(laptop.document) == names
    assert {s["vantage"] for s in laptop.document["sources"]} == {"pod"}
    assert (inside.code, inside.document["verdict"]) == (0, "healthy"), inside.err


async def test_what_was_just_broken_is_seen_by_every_node_and_by_one(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    where = ("service", "web", "-n", SPACE, "--type=json", "-p")
    path = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":%d}]'
    await cluster.kubectl("patch", *where, path % 8081)
    try:
        for flags, nodes in (((), {"node1", "node2"}), (("--from", "node1"), {"node1"})):

            async def found(flags: tuple[str, ...] = flags) -> Any:
                ended = await asked(cluster, *flags)
                mismatch = ended.document["verdict"] == "port_mismatch"
                return ended if mismatch else None

            ended = await until(found, 90, every=0.5)
            assert ended.code == 1
            assert seen_by(ended.document) == nodes
            edits = [c for c in ended.document["changes"] if c["kind"] == "service_edit"]
            assert edits[0]["by"] == "kubectl-patch"
            assert edits[0]["detail"] == "port 80: targetPort 8080 -> 8081"
            assert "set targetPort to 8080: kubectl patch" in ended.document["advice"][0]

        async def remembered() -> bool:
            """Each daemon tells of an incident seconds after its verdict turned."""
            told = (await asked(cluster, "--since", "10m")).document["history"]["incidents"]
            return [(i["verdict"], i["nodes"]) for i in told] == [
                ("port_mismatch", ["node1", "node2"])
            ]

        await until(remembered, 60, every=0.5)
    finally:
        await cluster.kubectl("patch", *where, path % 8080)


async def test_a_daemon_that_does_not_answer_is_named_beside_the_others(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    """Its node is cut off, and the API server waits for it in vain."""
    cluster.nodes[1].cut_off()
    try:
        found = await asked(cluster)
    finally:
        cluster.nodes[1].rejoin()

    assert seen_by(found.document) == {"node1"}
    assert found.document["silent"] == {"node2": "no answer within 5 s"}
    said = "; seen from 1 of 2 nodes: node1 (no answer from node2)"
    assert found.document["summary"].endswith(said)
    assert "node node2 does not answer: no answer within 5 s" in found.err


async def test_a_rollout_is_watched_from_every_node(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    assert KUBECTL is not None
    kubectl = (KUBECTL, "--kubeconfig", str(cluster.kubeconfig), "-n", SPACE)
    watched = await probe(
        *("watch", "deploy/web", "-n", SPACE, "-o", "json", "--max-failed", "1000000"),
        *("--kubeconfig", str(cluster.kubeconfig)),
        *("--", *kubectl, "rollout", "restart", "deployment/web"),
        seconds=150,
        PROBE_API_KEY=KEY,
    )

    assert watched.code == 0, watched.err
    assert "asking the daemons on the nodes" in watched.err
    record = watched.document
    assert (record["outcome"], record["detail"]) == ("complete", "restarted")
    assert [share["node"] for share in record["nodes"]] == ["node1", "node2"]
    assert all(share["dials"] > 10 for share in record["nodes"])


async def test_who_may_not_ask_is_told_what_is_missing_and_that_suffices(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    keyless = await asked(cluster, "--from", "nodes", key="")
    path = f"/api/v1/namespaces/{SPACE}/serviceaccounts/default/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await cluster.control_plane.request("POST", path, body))["status"]["token"]
    plane = cluster.control_plane
    config = plane.credentials.kubeconfig(plane.url, token, "asker")
    forbidden = await asked(cluster, "--from", "nodes", kubeconfig=config)
    binding = {
        **RIGHTS,
        "kind": "RoleBinding",
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "asks-daemons",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": SPACE}],
    }
    del binding["rules"]
    await cluster.apply({**RIGHTS, "rules": RIGHTS["rules"][:1]}, binding, space="edgeprobe")

    async def half_allowed() -> bool:
        found = await asked(cluster, "--from", "nodes", kubeconfig=config)
        return "forbids us to use pods/proxy in namespace edgeprobe" in found.err

    await until(half_allowed, 60, every=0.5)
    await cluster.apply(RIGHTS, space="edgeprobe")

    async def allowed() -> bool:
        found = await asked(cluster, "--from", "nodes", kubeconfig=config)
        return bool(found.out) and len(found.document["sources"]) == len(cluster.nodes)

    assert keyless.code == 3
    assert "the daemon on node node1 does not answer: it wants its key" in keyless.err
    assert (forbidden.code, forbidden.out) == (2, "")
    assert (
        "the API server forbids us to list pods in namespace edgeprobe, to ask the daemons: "
        "grant list on pods, and get and create on pods/proxy, there" in forbidden.err
    )
    await until(allowed, 60, every=0.5)
