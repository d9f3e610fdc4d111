"""What a person names to be watched, and whether it can be."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from probe.absent import NotFound
from probe.demo.manifests import deployment, service
from probe.reflector import Connection
from probe.sandbox.cluster import Cluster
from probe.watch.subject import BadName, NothingInFront, Subject, find, look, parse
from tests.watch.reached import connected
from tests.watched import standing

WEB = Subject("Deployment", "demo-app", "web")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("deployment/web", "Deployment"),
        ("deploy/web", "Deployment"),
        ("Deployments.apps/web", "Deployment"),
        ("sts/web", "StatefulSet"),
        ("statefulset/web", "StatefulSet"),
        ("ds/web", "DaemonSet"),
        ("daemonsets/web", "DaemonSet"),
    ],
)
def test_it_is_named_as_kubectl_takes_it(text: str, kind: str) -> None:
    assert parse(text) == (kind, "web")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web", "write KIND/NAME, such as deployment/web"),
        ("deployment", "write KIND/NAME, such as deployment/web"),
        ("", "such as deployment/web"),
        ("pod/web", "'pod' does not roll; deployment, statefulset, daemonset do"),
        ("deploy/", "'' can be no name of a Deployment"),
        ("deploy/Web", "'Web' can be no name"),
        ("deploy/a,b", "can be no name"),
    ],
)
def test_what_can_be_none_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(BadName, match=said):
        parse(text)


@pytest_asyncio.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Connection]]:
    async with (
        standing(deployment("web")) as cluster,
        connected(cluster, tmp_path) as connection,
    ):
        yield cluster, connection


async def test_it_is_found_with_the_services_that_callers_use(
    held: tuple[Cluster, Connection],
) -> None:
    cluster, connection = held
    for name, chosen in (("web", "web"), ("web-admin", "web"), ("other", "other")):
        cluster.apply(service(name, selector={"app": chosen}))
    found, services = await find(connection, WEB)

    assert services == ("web", "web-admin")
    assert found.text() == "2 of 2 updated, 2 available"


async def test_what_is_not_there_is_not_found(held: tuple[Cluster, Connection]) -> None:
    gone = Subject("Deployment", "demo-app", "gone")
    with pytest.raises(NotFound, match='Deployment "gone" not found in namespace "demo-app"'):
        await find(held[1], gone)
    assert await look(held[1], gone) is None
    with pytest.raises(NotFound, match=r"it is in demo-app: add -n demo-app$"):
        await find(held[1], Subject("Deployment", "default", "web"))


async def test_without_a_service_in_front_it_says_how_to_make_one(
    held: tuple[Cluster, Connection],
) -> None:
    said = r"kubectl expose deployment web -n demo-app --port=8080$"
    with pytest.raises(NothingInFront, match=said):
        await find(held[1], WEB)


@pytest.mark.parametrize(
    "how",
    [
        {"spec": {"clusterIP": "None"}},
        {"metadata": {"annotations": {"edgeprobe.dev/probe": "false"}}},
        {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "other"}}},
    ],
    ids=["headless", "opted out", "another proxy's"],
)
async def test_a_service_that_is_not_dialed_is_no_way_to_dial(
    held: tuple[Cluster, Connection], how: dict[str, dict[str, Any]]
) -> None:
    cluster, connection = held
    left: dict[str, Any] = service("web")
    for part, fields in how.items():
        left[part] |= fields
    cluster.apply(left)
    with pytest.raises(NothingInFront, match=r"has a ClusterIP .* \(there is web\)"):
        await find(connection, WEB)
