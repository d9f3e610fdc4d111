"""The pods behind a check's Services, read once: as many as matter, as far as one may."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from probe.apiserver.refusals import Status, api_error
from probe.core import kube
from probe.core.kube import Listed, Resource
from probe.core.pods import PODS
from probe.demo.manifests import deployment, namespace
from probe.pods import SERVICES, look
from probe.reflector import ApiTrouble, Connection, Unreachable, connect
from probe.sandbox.cluster import Cluster


def document(name: str = "web", verdict: str = "healthy", **selector: str) -> dict[str, Any]:
    return {
        "service": {"namespace": "demo-app", "name": name},
        "spec": {"type": "ClusterIP", "cluster_ips": [], "selector": selector},
        "verdict": verdict,
        "summary": "",
        "ports": [],
        "advice": [],
    }


class Answering:
    """A connection whose lists have nothing in them, or that refuses those of one resource."""

    def __init__(self, refused: Resource | None = None, why: ApiTrouble | None = None) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._refused, self._why = refused, why

    async def list(
        self, resource: Resource, namespace: str, **selectors: str
    ) -> tuple[Listed, str]:
        self.asked.append((resource.name, namespace, selectors.get("labelSelector", "")))
        if resource is self._refused and self._why is not None:
            raise self._why
        return Listed(resource.name, (), namespace), "1"


async def looked(answering: Answering, *documents: dict[str, Any]) -> list[str]:
    return await look(cast(Connection, answering), list(documents))


async def test_the_pods_of_the_selector_are_in_the_document(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        for each in (namespace("demo-app"), deployment("web"), deployment("other")):
            cluster.apply(each)
        await cluster.settled(within=20)
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        connection = await connect(str(tmp_path / "kubeconfig"), None, user_agent="test")
        found = document(app="web")
        try:
            warnings = await look(connection, [found])
        finally:
            await connection.close()

    assert warnings == []
    assert [pod["name"].rsplit("-", 2)[0] for pod in found["pods"]] == ["web", "web"]
    assert all(pod["ready"] and pod["trouble"] is None for pod in found["pods"])
    assert json.loads(json.dumps(found)) == found


async def test_of_many_services_only_those_in_trouble_are_looked_at_and_not_too_many() -> None:
    answering = Answering()
    documents = [document("good", app="good"), document("odd", "lossy"), {"verdict": "lossy"}]
    documents.append({**document("unspecified", "lossy"), "spec": None})
    documents += [document(f"bad-{n}", "lossy", app=f"{n}") for n in range(SERVICES + 5)]

    await looked(answering, *documents)

    asked = [selector for resource, _, selector in answering.asked if resource == PODS.name]
    assert asked == [f"app={n}" for n in range(SERVICES)]
    assert "pods" not in documents[0]


async def test_policies_are_looked_at_where_something_is_wrong() -> None:
    healthy, failing = Answering(), Answering()
    await looked(healthy, document(app="web", tier="1"))
    await looked(failing, document(verdict="blackholed", app="web"))

    assert healthy.asked == [("pods", "demo-app", "app=web,tier=1")]
    assert failing.asked[1:] == [("networkpolicies", "demo-app", "")]


@pytest.mark.parametrize("code", [403, 500])
async def test_pods_that_one_may_not_see_are_done_without(code: int) -> None:
    why = api_error(Status(code, message="no"), "list", PODS, "demo-app")
    one, two = document(app="web"), document("two", "lossy", app="two")

    warnings = await looked(Answering(PODS, why), one)
    await looked(Answering(kube.NETWORK_POLICIES, why), two)

    expected = "the API server forbids us to list pods in namespace demo-app"
    assert warnings == [expected if code == 403 else str(why)]
    assert "pods" not in one
    assert (two["pods"], two["policies"]) == ([], [])


async def test_an_api_server_that_went_away_is_a_warning_told_once() -> None:
    gone = Unreachable("the API server cannot be reached")
    documents = [document(f"web-{n}", "lossy", app="web") for n in range(3)]

    assert await looked(Answering(PODS, gone), *documents) == ["the API server cannot be reached"]
