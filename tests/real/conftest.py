"""One real cluster for all tests here, in each mode of kube-proxy in turn."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster, booted
from tests.running import until


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["iptables", "nftables"])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """Shared: a test works in a `space` of its own and undoes what it did to a node.

    When it is stopped nothing may be left of it.
    """
    async with booted(request.param) as cluster:
        yield cluster
        processes = cluster.processes()
        assert processes
    assert cluster.network.namespaces() == []
    assert not exists(cluster.folder)
    await until(lambda: not any(each.lives() for each in processes))


def exists(path: Path) -> bool:
    return path.exists()


@pytest_asyncio.fixture(loop_scope="function")
async def space(cluster: Cluster) -> AsyncIterator[str]:
    """A new Kubernetes namespace, in which pods can be made."""
    name = f"t-{secrets.token_hex(4)}"
    await cluster.make_space(name)
    yield name
    await cluster.drop_space(name)
