"""Whatever a watch brings, the picture ends up right and nothing spins."""

import json
import logging
from pathlib import Path

import pytest
from aiohttp import web

from probe.core.kube import Stored
from probe.reflector import Limits, Reflector
from tests.hostile import (
    DATA,
    HASTE,
    Picture,
    Server,
    bookmark,
    broken_off,
    event,
    huge,
    mirroring,
    page,
    refuse,
    service,
    serving,
    silence,
    spec_null,
    status,
    stream,
    until,
)

LISTED = page([service("a", 1)], 1)
SOON_SILENT = Limits(silence=0.4)


def ports(picture: Picture) -> dict[str, int]:
    return {name: fact.ports[0].port for (_, name), fact in picture.facts.items()}


async def test_truncated_json_is_counted_and_asked_for_again(tmp_path: Path) -> None:
    whole = event("MODIFIED", service("a", 6, port=86))
    server = Server(
        [LISTED],
        [
            stream(event("ADDED", service("b", 5)), whole[:40] + b"\n", end=True),
            stream(whole),
        ],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: ports(picture) == {"a": 86, "b": 80})

        assert reflector.status.skipped == {"malformed_json": 1}
        assert [asked.query["resourceVersion"] for asked in server.watched] == ["1", "5"]
        assert picture.lists == 1


async def test_what_follows_truncated_json_is_not_trusted(tmp_path: Path) -> None:
    server = Server(
        [LISTED], [stream(b'{"type":"ADD\n', event("DELETED", service("a", 9))), stream()]
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: len(server.watched) >= 2)

        assert picture.names == {"a"}
        assert server.watched[1].query["resourceVersion"] == "1"


async def test_json_that_stays_truncated_is_passed_over(tmp_path: Path) -> None:
    server = Server([LISTED], [stream(b'{"type":"ADD\n', event("ADDED", service("b", 9)))])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"a", "b"})

        assert len(server.watched) == 2
        assert reflector.status.skipped == {"malformed_json": 2}


async def test_a_watch_that_always_breaks_in_the_same_line_makes_a_list(tmp_path: Path) -> None:
    torn = broken_off(b'{"type":"ADDED","obj')
    server = Server(
        [LISTED, page([service("b", 9)], 9)],
        [stream(b'{"type":"ADD\n', end=True), stream(b'{"type":"ADD', end=True), torn, stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.names == {"b"} and len(server.watched) >= 4)

        assert [asked.query.get("resourceVersion") for asked in server.listed[:2]] == ["0", None]
        assert server.watched[3].query["resourceVersion"] == "9"


async def test_a_410_in_the_middle_of_a_watch_makes_a_list_at_once(tmp_path: Path) -> None:
    gone = (DATA / "watch-410.txt").read_bytes()
    server = Server(
        [LISTED, page([service("b", 90)], 90)],
        [stream(event("MODIFIED", service("a", 5, port=85)), gone), stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"b"} and len(server.watched) >= 2)

        assert server.listed[1].query == {"limit": "500"}
        assert server.watched[1].query["resourceVersion"] == "90"
        assert reflector.status.error is None


async def test_a_410_instead_of_a_watch_makes_a_list(tmp_path: Path) -> None:
    server = Server([LISTED, page([service("b")], 90)], [refuse(410, "Expired"), stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.names == {"b"})


async def test_a_version_from_the_future_makes_a_list(tmp_path: Path) -> None:
    message = "Timeout: Too large resource version: 9000, current: 12"
    late = event("ERROR", status(504, "Timeout", message))
    server = Server([LISTED, page([service("b")], 12)], [stream(late), stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.names == {"b"})


async def watched_calmly(server: Server) -> None:
    """It watches again and again, after pauses that grow to 0.1 s and more."""
    began = server.watched[0].at
    await until(lambda: len(server.watched) > 12)

    assert len(server.watched) < 6 + (server.watched[-1].at - began) / HASTE.longest


async def test_410s_without_end_do_not_spin(tmp_path: Path) -> None:
    server = Server([LISTED], [refuse(410)])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: reflector.status.error is not None)
        await watched_calmly(server)

        assert picture.names == {"a"}


async def test_watches_closed_at_once_do_not_spin(tmp_path: Path) -> None:
    server = Server([LISTED], [stream(bookmark(1), end=True)])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: reflector.status.error is not None)
        await watched_calmly(server)

        assert len(server.listed) == 1
        assert picture.names == {"a"}
        assert "as soon as they begin" in (reflector.status.error or "")


async def test_one_bad_object_costs_nobody_else(tmp_path: Path) -> None:
    server = Server(
        [LISTED],
        [
            stream(
                event("MODIFIED", spec_null("a", 2)),
                event("ADDED", {"metadata": {"name": 5}}),
                event("ADDED", {**service("c", 4), "spec": {"ports": [{"port": "http"}]}}),
                event("ADDED", service("b", 5)),
            )
        ],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: "b" in picture.names)

        assert picture.names == {"a", "b"}
        assert reflector.status.skipped == {"bad_object": 1, "malformed_object": 2}
        assert len(server.watched) == 1


async def test_a_bad_object_can_still_be_deleted(tmp_path: Path) -> None:
    server = Server([LISTED], [stream(event("DELETED", spec_null("a", 2)))])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.lists == 1 and picture.names == set())


async def test_events_of_unknown_type_or_shape_are_passed_over(tmp_path: Path) -> None:
    strange = [b"[]\n", b"null\n", b'{"type":"ADDED"}\n', b'{"type":7,"object":{}}\n', b"\n"]
    deep = b'{"type":"ADDED","object":' + b"[" * 10**5 + b"]" * 10**5 + b"}\n"
    server = Server(
        [LISTED],
        [stream(*strange, deep, event("SYNCED", service("x", 3)), event("ADDED", service("b", 4)))],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: "b" in picture.names)

        assert picture.names == {"a", "b"}
        assert reflector.status.skipped == {"malformed_object": 5, "unknown_event": 1}


async def test_each_kind_of_bad_object_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [event("MODIFIED", spec_null("a", n)) for n in range(2, 50)]
    server = Server([LISTED], [stream(*bad, event("ADDED", service("b", 99)))])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: "b" in picture.names)

        assert reflector.status.skipped == {"bad_object": 48}
        said = [record.getMessage() for record in caplog.records]
        assert said == [
            "skipping services demo/a: spec is null (further ones are only counted)",
        ]


async def test_a_line_over_the_limit_is_passed_over_as_it_streams(tmp_path: Path) -> None:
    head = b'{"type":"ADDED","object":{"metadata":{"name":"huge","annotations":{"x":"'
    tail = b'"}}}}\n' + event("ADDED", service("b", 3))
    server = Server([LISTED], [huge(head, tail, 20 * 2**20), stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"a", "b"})

        assert reflector.status.skipped == {"oversized": 1}


async def test_a_watch_that_never_answers_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server([LISTED], [silence, stream(event("ADDED", service("b", 2)))])
    limits = Limits(page=0.5)
    async with serving(server), mirroring(server.url, tmp_path, limits=limits) as (picture, _):
        await until(lambda: picture.names == {"a", "b"})

        assert "did not answer within 0.5 s" in caplog.records[0].getMessage()


async def test_a_watch_that_falls_silent_is_opened_again(tmp_path: Path) -> None:
    server = Server([LISTED], [stream(bookmark(4)), stream(event("ADDED", service("b", 5)))])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, limits=SOON_SILENT) as (picture, reflector),
    ):
        await until(lambda: picture.names == {"a", "b"})

        assert [asked.query["resourceVersion"] for asked in server.watched] == ["1", "4"]
        assert server.watched[1].at - server.watched[0].at >= 0.4
        assert len(server.listed) == 1
        assert reflector.status.error is None


async def test_watches_without_a_word_are_checked_by_a_list_less_and_less(tmp_path: Path) -> None:
    watching: list[Reflector] = []

    async def mute(request: web.Request) -> web.StreamResponse:
        """Ends in order as soon as the client finds that it has lasted."""
        response = web.StreamResponse()
        await response.prepare(request)
        await until(watching[0]._lasted)
        return response

    server = Server([LISTED, page([service("b", 9)], 9)], [mute])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        watching.append(reflector)
        await until(lambda: len(server.watched) >= 10)

        assert picture.names == {"b"}
        kinds = "".join("w" if asked.is_watch else "L" for asked in server.asked[:13])
        assert kinds == "LwwLwwLwwwwLw"
        assert reflector.status.error is None


async def test_a_trickle_of_bytes_is_silence(tmp_path: Path) -> None:
    drops: list[bytes | float] = [x for _ in range(10**4) for x in (b" ", 0.05)]
    server = Server([LISTED], [stream(*drops), stream(event("ADDED", service("b", 5)))])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, limits=SOON_SILENT) as (picture, _),
    ):
        await until(lambda: picture.names == {"a", "b"})


async def test_a_connection_dropped_in_the_middle_of_an_event_loses_nothing(
    tmp_path: Path,
) -> None:
    whole = event("ADDED", service("c", 3))
    server = Server(
        [LISTED], [broken_off(event("ADDED", service("b", 2)), whole[:30]), stream(whole)]
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"a", "b", "c"})

        assert server.watched[1].query["resourceVersion"] == "2"
        assert reflector.status.skipped == {}
        assert len(server.listed) == 1


async def test_events_in_pieces_of_any_size_come_out_whole(tmp_path: Path) -> None:
    lines = b"".join(event("ADDED", service(f"s{n}", n + 2)) for n in range(50))
    parts = [lines[at : at + 7] for at in range(0, len(lines), 7)]
    server = Server([page([], 1)], [stream(*parts)])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: len(picture.facts) == 50)

        assert [e.fact.name for e in picture.events if isinstance(e, Stored)] == [
            f"s{n}" for n in range(50)
        ]


async def test_an_error_event_of_another_kind_resumes_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(
        [LISTED],
        [stream(event("ERROR", status(500, "InternalError", "etcd")), end=True), stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (_, reflector):
        await until(lambda: len(server.watched) >= 2 and reflector.status.error is None)

        said = caplog.records[0].getMessage()
        assert said == "the API server refused to watch services: 500 etcd"
        assert len(server.listed) == 1


async def test_troubles_are_logged_at_loss_and_recovery_not_per_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe.reflector")
    server = Server([LISTED], [*[refuse(500)] * 6, stream(bookmark(2))])
    async with serving(server), mirroring(server.url, tmp_path) as (_, reflector):
        await until(lambda: len(server.watched) >= 7 and reflector.status.error is None)

        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("WARNING", "the API server refused to watch services: 500 Internal Server Error"),
            ("INFO", "services are watched again"),
        ]
        assert json.loads(json.dumps(caplog.records[0].__dict__["resource"])) == "services"
