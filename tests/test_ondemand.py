"""Checks on demand: of a daemon on the embedded cluster that would dial seldom, and by a clock of
the test's own."""

import asyncio
from pathlib import Path

import pytest

from probe.core.rounds import Config
from probe.core.world import World
from probe.ondemand import AT_ONCE, LONGEST, OnDemand
from probe.sandbox.cluster import Cluster
from probe.server import Busy
from tests.core.facts import NODE, Story, endpoint, service, slice_of
from tests.running import until
from tests.watched import WEB, Watched, standing, watching

SELDOM = 12.0


def crash(cluster: Cluster) -> None:
    """The pods stop listening, which the API server never hears of."""
    for pod in cluster.store.list("pods", "demo-app"):
        cluster.set_behaviour("demo-app", pod["metadata"]["name"], "crash")


async def begun(watched: Watched) -> None:
    await watched.becomes("web", "healthy")
    await until(lambda: watched.daemon.ready() == [])


@pytest.mark.slow
async def test_a_check_tells_what_is_so_now_and_not_what_was(tmp_path: Path) -> None:
    async with (
        standing(*WEB) as cluster,
        watching(cluster, tmp_path, interval=SELDOM) as watched,
    ):
        await begun(watched)
        crash(cluster)
        assert watched.verdict("web") == "healthy"
        found = await watched.daemon.check("demo-app", "web")

    assert found is not None
    assert found["verdict"] == "not_listening"
    edges = [e for e in found["ports"][0]["edges"] if e["kind"] == "endpoint"]
    assert {(e["result"], e["state"]) for e in edges} == {("refused", "down")}


@pytest.mark.slow
async def test_those_who_ask_for_the_same_wait_for_the_same_dials(tmp_path: Path) -> None:
    async with (
        standing(*WEB) as cluster,
        watching(cluster, tmp_path, interval=SELDOM) as watched,
    ):
        await begun(watched)
        before = await watched.total("edgeprobe_dials_total")
        found = await asyncio.gather(*(watched.daemon.check("demo-app", "web") for _ in range(9)))
        dials = await watched.total("edgeprobe_dials_total") - before

    assert [document and document["verdict"] for document in found] == ["healthy"] * 9
    assert 3 <= dials < 9


async def test_what_is_not_known_is_not_checked(tmp_path: Path) -> None:
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        assert await watched.daemon.check("demo-app", "nothing") is None
        assert await watched.daemon.check("nowhere", "web") is None


def world_of(count: int, node: str = NODE) -> World:
    """One that nobody ticks: no dial of it is ever made."""
    names = [f"s{n}" for n in range(count)]
    story = Story(Config(node)).listed(
        [service(name=name) for name in names],
        [slice_of("10.0.0.1", service=name) for name in names],
    )
    return story.world


async def started(count: int, checks: OnDemand) -> list[asyncio.Task[None]]:
    running = [asyncio.create_task(checks.check(("demo-app", f"s{n}"))) for n in range(count)]
    await asyncio.sleep(0)
    return running


@pytest.mark.looptime(start=1000)
async def test_it_ends_at_its_deadline_though_nothing_is_dialed() -> None:
    loop = asyncio.get_running_loop()
    for timeout, least, most in ((4.0, 20.0, 20.2), (60.0, LONGEST, LONGEST + 0.2)):
        checks = OnDemand(world_of(1), timeout, loop.time)
        began = loop.time()
        await checks.check(("demo-app", "s0"))
        assert least <= loop.time() - began <= most


@pytest.mark.looptime(start=1000)
async def test_too_many_at_once_are_refused_and_joining_one_is_not() -> None:
    checks = OnDemand(world_of(AT_ONCE + 1), 4.0, asyncio.get_running_loop().time)
    running = await started(AT_ONCE, checks)
    joined = (await started(1, checks))[0]
    with pytest.raises(Busy, match=f"{AT_ONCE} checks are running already"):
        await checks.check(("demo-app", f"s{AT_ONCE}"))
    await asyncio.gather(*running, joined)
    await checks.check(("demo-app", f"s{AT_ONCE}"))


@pytest.mark.looptime(start=1000)
async def test_when_who_asked_first_goes_away_the_others_are_answered() -> None:
    checks = OnDemand(world_of(1), 4.0, asyncio.get_running_loop().time)
    (first,) = await started(1, checks)
    (second,) = await started(1, checks)
    first.cancel()
    await second
    assert first.cancelled()


@pytest.mark.looptime(start=1000)
async def test_what_will_not_be_known_soon_is_not_waited_for() -> None:
    """Dials that the caps put far off, and a verdict that flaps."""
    loop = asyncio.get_running_loop()
    daemons = slice_of(*(endpoint("10.0.0.9", node=f"n{n}") for n in range(500)), service="peers")
    story = Story(Config(NODE, peers=("demo-app", "peers")))
    story.listed([service(name="s0"), service(name="peers", ips=())], [daemons])
    for _, book in story.world.books():
        for track in book.tracks.values():
            track.sent = story.now
    (book,) = story.world.mirror.services["demo-app", "s0"].books.values()
    checks = OnDemand(story.world, 4.0, loop.time)
    for held, least, most in ((None, 0, 1), (100, 0, 1), (1, 20, 21)):
        began = loop.time()
        book.held_since = held and began - held
        await checks.check(("demo-app", "s0"))
        assert least <= loop.time() - began < most


@pytest.mark.looptime(start=1000)
async def test_a_service_that_is_deleted_meanwhile_ends_its_check() -> None:
    loop = asyncio.get_running_loop()
    story = Story().listed([service(name="s0")], [slice_of("10.0.0.1", service="s0")])
    checks = OnDemand(story.world, 4.0, loop.time)
    (running,) = await started(1, checks)
    story.remove(slice_of("10.0.0.1", service="s0"))
    story.remove(service(name="s0"))
    began = loop.time()
    await running
    assert loop.time() - began < 1
