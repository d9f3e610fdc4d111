"""The long run in this process, on the embedded cluster, quicker than its defaults."""

import asyncio
import logging
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from probe.core import peers
from probe.daemon import ALIVE_SECONDS, Daemon
from probe.demo.manifests import deployment, manual_slice, service
from probe.reflector import connect
from probe.settings import load
from tests.running import until
from tests.watched import QUICK, WEB, Watched, standing, start_api, stop_api, watching


@pytest.mark.slow
async def test_a_service_turns_and_the_edit_that_turned_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        cluster.apply(service("web", target=8081), manager="argocd")
        await watched.becomes("web", "port_mismatch")
        cluster.apply(service("web"), manager="kubectl-patch")
        await watched.becomes("web", "healthy")

        assert [str(turn.new.verdict) for turn in watched.turns] == [
            "healthy",
            "port_mismatch",
            "healthy",
        ]
        assert [(c.by, c.detail) for c in watched.changes if c.kind == "service_edit"] == [
            ("argocd", "port 8080: targetPort 8080 -> 8081"),
            ("kubectl-patch", "port 8080: targetPort 8081 -> 8080"),
        ]
    said = "service_edit Service demo-app/web by argocd: port 8080: targetPort 8080 -> 8081"
    assert said in [record.getMessage() for record in caplog.records]


@pytest.mark.slow
async def test_it_warns_once_when_the_daemons_own_service_does_not_hold_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "LOST_SECONDS", 3.0)

    def warnings() -> list[str]:
        return [found.getMessage() for found in caplog.records if "peers" in found.__dict__]

    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await until(lambda: watched.daemon.ready() == [])
        await asyncio.sleep(4)
        assert warnings() == []
        cluster.store.delete("services", "edgeprobe", "edgeprobe")
        await until(warnings)
        await asyncio.sleep(2)
    assert len(warnings()) == 1
    assert warnings()[0].startswith("no Service edgeprobe/edgeprobe is seen (PROBE_PEERS)")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ({"peers": "edgeprobe/nowhere"}, 1),
        ({"peers": "edgeprobe/nowhere", "vantage": "local"}, 0),
        ({"peers": ""}, 0),
    ],
)
async def test_outside_of_the_cluster_or_alone_it_looks_for_no_endpoint_of_its_own(
    settings: dict[str, str],
    warnings: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "LOST_SECONDS", 0.0)
    async with standing(*WEB) as cluster, watching(cluster, tmp_path, **settings) as watched:
        await until(lambda: watched.daemon.ready() == [])
        await _second(watched)

    assert len([found for found in caplog.records if "peers" in found.__dict__]) == warnings


async def test_it_is_ready_once_it_has_listed_and_dialed_all_and_stays_so(tmp_path: Path) -> None:
    async with (
        standing(*WEB) as cluster,
        watching(cluster, tmp_path, interval=4) as watched,
    ):
        status, text = await watched.get("/readyz")
        assert status == 503
        assert "are not listed yet" in text or "first round" in text
        await until(lambda: watched.daemon.ready() == ["the first round of dials is not done"])
        await until(lambda: watched.daemon.ready() == [])
        assert await watched.get("/readyz") == (200, "ok\n")
        cluster.apply(deployment("new"))
        cluster.apply(service("new"))
        await until(lambda: watched.verdict("new") is not None)
        assert await watched.get("/readyz") == (200, "ok\n")


async def test_what_may_not_be_dialed_does_not_keep_it_from_being_ready(tmp_path: Path) -> None:
    broken = (service("db", selector={}), manual_slice("db", "0.0.0.0", 8080), service("empty"))
    async with standing(*WEB, *broken) as cluster, watching(cluster, tmp_path) as watched:
        await until(lambda: watched.daemon.ready() == [])
        assert watched.verdict("db") == "invalid_target"


@pytest.mark.slow
async def test_it_waits_alive_and_not_ready_for_an_api_server_that_is_away(
    tmp_path: Path, sockets: ExitStack
) -> None:
    async with standing(*WEB) as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        port = await stop_api(cluster, sockets)
        async with watching(cluster, tmp_path) as watched:
            await until(lambda: "cannot be reached" in " ".join(watched.daemon.ready()))
            assert (await watched.get("/livez"))[0] == 200
            status, text = await watched.get("/readyz")
            assert status == 503
            assert text.startswith(
                "services are not listed yet: the API server at http://127.0.0.1"
            )
            assert await watched.total("edgeprobe_discovery_synced", resource="services") == 0
            found = watched.daemon.services()
            assert (list(found["services"]), found["verdict"]) == ([], "unknown")

            api = await start_api(cluster, port)
            await watched.becomes("web", "healthy")
            assert await watched.get("/readyz") == (200, "ok\n")
            watched.stop.set()
            await watched.running
            await api.stop()


@pytest.mark.slow
async def test_without_the_api_server_it_dials_on_and_forgets_nothing(
    tmp_path: Path, sockets: ExitStack
) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await until(lambda: _all_up(watched))
        port = await stop_api(cluster, sockets)
        await until(lambda: watched.daemon.discovery.statuses["services"].error)
        before = await watched.total("edgeprobe_dials_total")
        contact = "edgeprobe_discovery_last_contact_timestamp_seconds"
        stands = await watched.total(contact, resource="services")

        await until(lambda: _more(watched, before + 6))
        assert await watched.total(contact, resource="services") == stands
        assert await watched.total("edgeprobe_discovery_synced", resource="services") == 1
        assert await _all_up(watched)
        assert await watched.get("/readyz") == (200, "ok\n")

        cluster.apply(service("web", target=8081), manager="argocd")
        api = await start_api(cluster, port)
        await watched.becomes("web", "port_mismatch")
        assert await watched.total(contact, resource="services") > stands
        assert [c.by for c in watched.changes if c.kind == "service_edit"] == ["argocd"]
        watched.stop.set()
        await watched.running
        await api.stop()


@pytest.mark.slow
async def test_failures_while_discovery_is_stale_accuse_nobody(
    tmp_path: Path, sockets: ExitStack
) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        await stop_api(cluster, sockets)
        services = watched.daemon.discovery.statuses["services"]
        await until(lambda: services.error)
        for part in services._parts:
            assert part.last_contact is not None
            part.last_contact -= 150  # the API server has been away for more than 120 s
        for pod in cluster.store.list("pods", "demo-app"):
            cluster.set_behaviour("demo-app", pod["metadata"]["name"], "crash")
        away = "the API server has been away for 1"
        await until(lambda: away in watched.service("web")["summary"])

        found = watched.service("web")
        assert found["verdict"] == "unknown"
        assert {e["state"] for e in found["ports"][0]["edges"]} == {"unknown"}
        assert [str(turn.new.verdict) for turn in watched.turns] == ["healthy", "unknown"]


async def test_a_scheduler_that_does_not_tick_is_not_alive(tmp_path: Path) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        assert watched.daemon.alive() is None
        watched.daemon._ticked -= ALIVE_SECONDS + 1
        said = watched.daemon.alive()
        assert said is not None
        assert said.startswith("the scheduler has not ticked for 3")
        await until(lambda: watched.daemon.alive() is None)


@pytest.mark.slow
async def test_turns_are_logged_and_dials_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "probe")
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        cluster.apply(service("web", target=8081), manager="argocd")
        await watched.becomes("web", "port_mismatch")
        await until(lambda: "incident" in caplog.records[-1].__dict__)
        lines = len(caplog.records)
        dials = await watched.total("edgeprobe_dials_total")
        await until(lambda: _more(watched, dials + 10))
        assert len(caplog.records) == lines

    turns = [r for r in caplog.records if "was" in r.__dict__]
    assert [(r.levelname, r.__dict__["verdict"], r.__dict__["was"]) for r in turns] == [
        ("INFO", "healthy", "unknown"),
        ("INFO", "port_mismatch", "healthy"),
    ]
    assert (
        turns[1]
        .getMessage()
        .startswith(
            "demo-app/web:8080 port_mismatch: targetPort 8081 is refused on 2 of 2 endpoints"
        )
    )


async def _second(watched: Watched) -> None:
    """Until the daemon has looked once more at what it looks at once a second."""
    before = watched.daemon._second
    await until(lambda: watched.daemon._second > before)


async def _all_up(watched: Watched) -> bool:
    """The ClusterIP and both endpoints."""
    return await watched.total("edgeprobe_edges", state="up") == 3


async def _more(watched: Watched, dials: float) -> bool:
    return await watched.total("edgeprobe_dials_total") > dials


async def test_a_wall_clock_that_is_set_is_followed(tmp_path: Path) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        clock, monotonic = watched.daemon._clock, asyncio.get_running_loop().time
        clock._epoch -= timedelta(hours=1)

        await until(lambda: datetime.now(UTC) - clock(monotonic()) < timedelta(minutes=10))


async def test_it_ends_soon_though_dials_are_in_flight(tmp_path: Path) -> None:
    hole = (deployment("hole", behaviour="blackhole"), service("hole"))
    async with (
        standing(*hole) as cluster,
        watching(cluster, tmp_path, timeout=60) as watched,
    ):
        await until(lambda: watched.daemon._dialer.in_flight)
        watched.stop.set()
        async with asyncio.timeout(30):
            await watched.running


async def test_a_port_that_is_taken_is_told_at_once(tmp_path: Path) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        connection = await connect(str(tmp_path / "kubeconfig"), None, user_agent="second")
        settings = load(QUICK | {"listen": f"127.0.0.1:{watched.daemon.port}"})
        with pytest.raises(OSError, match="in use"):
            await Daemon(settings, connection).run(asyncio.Event())
        await connection.close()
