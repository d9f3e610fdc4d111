"""A connection to an embedded cluster, as a command has one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from probe.reflector import Connection, connect
from probe.sandbox.cluster import Cluster


@asynccontextmanager
async def connected(cluster: Cluster, folder: Path) -> AsyncIterator[Connection]:
    cluster.write_kubeconfig(folder / "kubeconfig")
    connection = await connect(str(folder / "kubeconfig"), None, user_agent="test")
    try:
        yield connection
    finally:
        await connection.close()
