"""An API server that is away, or that refuses us: the picture stays, one sentence says why."""

import asyncio
import logging
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from probe.core.kube import DEPLOYMENTS, SLICES
from tests.hostile import (
    DATA,
    Answer,
    Server,
    bookmark,
    event,
    mirroring,
    page,
    plain,
    refuse,
    service,
    serving,
    stream,
    until,
)
from tests.ports import reserved

FORBIDDEN = plain(403, (DATA / "403.json").read_bytes())


async def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sockets: ExitStack
) -> None:
    caplog.set_level(logging.INFO, "probe.reflector")
    port = sockets.enter_context(reserved())
    before = Server([page([service("a")], 1)], [stream(event("ADDED", service("b", 2)))])
    after = Server([page([], 1)], [stream(event("ADDED", service("c", 3)))])
    async with mirroring(f"http://127.0.0.1:{port}", tmp_path) as (picture, reflector):
        await until(lambda: reflector.status.error is not None)
        assert not reflector.status.synced
        async with serving(before, port=port):
            await until(lambda: picture.names == {"a", "b"})
            await until(lambda: reflector.status.error is None)
        await until(lambda: reflector.status.error is not None)
        await asyncio.sleep(0.5)
        assert picture.names == {"a", "b"}
        assert f"http://127.0.0.1:{port} cannot be reached" in (reflector.status.error or "")
        assert reflector.status.synced
        async with serving(after, port=port):
            await until(lambda: picture.names == {"a", "b", "c"})
            await until(lambda: reflector.status.error is None)

        assert after.listed == []
        assert after.watched[0].query["resourceVersion"] == "2"
        assert picture.lists == 1
        levels = [record.levelname for record in caplog.records]
        assert levels == ["WARNING", "INFO", "WARNING", "INFO"]


async def test_forbidden_names_verb_resource_group_and_the_fix(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server([FORBIDDEN])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, resource=SLICES) as (picture, reflector),
    ):
        await until(lambda: len(server.listed) >= 4)

        status = reflector.status
        assert status.error == (
            "the API server forbids us to list endpointslices: "
            "grant list and watch on endpointslices in discovery.k8s.io"
        )
        assert (status.forbidden, status.synced) == (True, False)
        assert picture.events == []
        assert len(caplog.records) == 1
        pauses = [b.at - a.at for a, b in pairwise(server.listed)]
        assert min(pauses) >= 0.1  # the slow end of the back-off from the first


async def test_permission_that_comes_later_is_used(tmp_path: Path) -> None:
    server = Server([FORBIDDEN, FORBIDDEN, page([service("a")])], [stream(bookmark(2))])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"a"})
        await until(lambda: reflector.status.error is None)

        assert not reflector.status.forbidden


async def test_without_permission_to_watch_lists_have_to_do(tmp_path: Path) -> None:
    server = Server([page([service("a")]), page([service("b")])], [FORBIDDEN])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"b"})

        assert "forbids us to watch services" in (reflector.status.error or "")
        assert 'in the core API group ""' in (reflector.status.error or "")


@pytest.mark.parametrize("answer", [FORBIDDEN, refuse(404)], ids=["forbidden", "absent"])
async def test_an_optional_resource_that_is_denied_is_told_as_forbidden_or_absent(
    tmp_path: Path, answer: Answer
) -> None:
    server = Server([answer])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, resource=DEPLOYMENTS) as (_, reflector),
    ):
        await until(lambda: reflector.status.error is not None)

        assert "deployments in apps" in (reflector.status.error or "")
        assert reflector.status.forbidden is (answer is FORBIDDEN)
        assert reflector.status.absent is (answer is not FORBIDDEN)


async def test_forbidden_in_one_namespace_names_it(tmp_path: Path) -> None:
    server = Server([FORBIDDEN])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, namespace="demo") as (_, reflector),
    ):
        await until(lambda: reflector.status.error is not None)

        assert "services of namespace demo" in (reflector.status.error or "")


async def test_a_rotated_token_file_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server = Server([page([service("a")])], [stream(bookmark(2), 0.1, end=True)])
    user = {"tokenFile": "token"}
    async with serving(server), mirroring(server.url, tmp_path, user=user):
        await until(lambda: len(server.watched) >= 1)
        token.write_text("second\n")
        asked = len(server.asked)
        await until(lambda: len(server.asked) > asked + 1)
        token.unlink()
        asked = len(server.asked)
        await until(lambda: len(server.asked) > asked + 1)

        assert server.asked[0].headers["Authorization"] == "Bearer first"
        assert server.asked[-1].headers["Authorization"] == "Bearer second"


async def test_refused_credentials_are_read_again_once(tmp_path: Path) -> None:
    plugin, calls = tmp_path / "plugin", tmp_path / "calls"
    plugin.write_text(f"""#!/bin/sh
echo >> {calls}
n=$(wc -l < {calls})
echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
echo '"status":{{"token":"'"token$n"'"}}}}'
""")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    unauthorized = plain(401, (DATA / "401.json").read_bytes())
    server = Server(
        [unauthorized, page([service("a")])], [unauthorized, unauthorized, stream(bookmark(2))]
    )
    async with serving(server), mirroring(server.url, tmp_path, user=user) as (_, reflector):
        await until(lambda: len(server.watched) >= 3 and reflector.status.error is None)

        used = [asked.headers["Authorization"] for asked in server.asked]
        assert used[:5] == ["Bearer token1"] + ["Bearer token2"] * 4
        assert len(server.listed) == 2


async def test_a_plugin_that_fails_later_ends_nothing(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text("""#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
echo '"status":{"token":"t","expirationTimestamp":"2020-01-01T00:00:00Z"}}'
""")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    server = Server([page([service("a")])], [stream(bookmark(2), 0.1, end=True)])
    async with serving(server), mirroring(server.url, tmp_path, user=user) as (picture, reflector):
        await until(lambda: picture.names == {"a"})
        other = tmp_path / "other"
        other.write_text("#!/bin/sh\necho logged out >&2\nexit 1\n")
        other.chmod(0o755)
        other.replace(plugin)  # at once: a shell may be about to read it
        await until(lambda: reflector.status.error is not None)

        assert "ended with 1 and said 'logged out'" in (reflector.status.error or "")
        assert picture.names == {"a"}
