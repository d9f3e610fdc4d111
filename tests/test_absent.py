"""What is said of a name that is not there, on the embedded cluster."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from probe.absent import missing, miswritten
from probe.core import kube
from probe.demo.manifests import namespace, service
from probe.reflector import Connection
from probe.sandbox.cluster import Cluster
from tests.watch.reached import connected
from tests.watched import standing, stop_api

NAMES = ("cart", "checkout")
SHOPS = [f"shop-{i}" for i in range(1, 5)]


@pytest_asyncio.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Connection]]:
    """`cart` and `checkout` in demo-app, `basket` in four others; `empty` holds nothing."""
    async with standing() as cluster, connected(cluster, tmp_path) as connection:
        for name in (*SHOPS, "empty"):
            cluster.apply(namespace(name))
        for name in NAMES:
            cluster.apply(service(name))
        for name in SHOPS:
            cluster.apply(service("basket", namespace=name))
        yield cluster, connection


async def said(connection: Connection, where: str, name: str) -> str:
    found = str(await missing(connection, kube.SERVICES, "Service", where, name))
    begins = f'Service "{name}" not found in namespace "{where}" (API server '
    assert found.startswith(f"{begins}{connection.server}): ")
    return found.partition("): ")[2]


@pytest.mark.parametrize(
    ("where", "name", "hint"),
    [
        ("default", "cart", "it is in demo-app: add -n demo-app"),
        ("default", "basket", "it is in shop-1, shop-2, shop-3 and 1 more: choose with -n"),
        ("demo-app", "chekout", "did you mean checkout?"),
        ("demo-app", "payments", "-n names another one"),
        ("empty", "payments", "-n names another one"),
        ("demo-ap", "payments", "there is no such namespace: -n names another one"),
    ],
)
async def test_it_is_looked_for_where_it_may_be(
    held: tuple[Cluster, Connection], where: str, name: str, hint: str
) -> None:
    assert await said(held[1], where, name) == hint


async def test_where_nothing_is_listed_no_more_is_said_than_is_known(
    held: tuple[Cluster, Connection], sockets: ExitStack
) -> None:
    cluster, connection = held
    await stop_api(cluster, sockets)

    assert await said(connection, "default", "cart") == "-n names another one"


@pytest.mark.parametrize(
    "written",
    [
        "svc/cart",
        "service/cart",
        "cart:8080",
        "demo-app/cart",
        "svc/demo-app/cart",
        "cart.demo-app",
        "cart.demo-app.svc.cluster.local",
        "cart.demo-app.svc.cluster.local:8080",
    ],
)
def test_other_ways_to_write_a_name_are_told_in_ours(written: str) -> None:
    assert str(miswritten("demo-app", written)) == (
        f'Service "{written}" not found in namespace "demo-app": '
        "write the name alone, the namespace with -n: cart -n demo-app"
    )


@pytest.mark.parametrize("written", ["", "TYPO", "a,b", "x" * 64, "..", "svc/", "cart -n shop"])
def test_what_can_be_no_name_at_all_is_told_the_rule(written: str) -> None:
    said = str(miswritten("demo-app", written))

    assert said.endswith("a name has lower-case letters, digits and dashes only, 63 at most")
