"""What the daemon answers over HTTP, with answers of the test's own."""

import asyncio
import gzip
import json
import random
import time

import pytest

from probe import server as served
from probe.negotiation import OPENMETRICS, TEXT
from probe.server import API_BURST, API_RATE, LINKED, Server
from probe.settings import KEY_MAX, load
from probe.told import KEY_HEADER
from tests.serving import PAGE, Fixed, asked, serving


async def test_livez_fails_with_the_reason_why_the_daemon_should_be_restarted() -> None:
    answers = Fixed()
    async with serving(answers) as session:
        assert (await asked(session, "/livez"))[::2] == (200, b"ok\n")
        answers.dead = "the scheduler has not ticked for 31 s"
        assert (await asked(session, "/livez"))[::2] == (
            503,
            b"the scheduler has not ticked for 31 s\n",
        )


async def test_readyz_names_every_reason_on_a_line() -> None:
    answers = Fixed(reasons=["services are not listed yet", "endpointslices are not listed yet"])
    async with serving(answers) as session:
        assert (await asked(session, "/readyz"))[::2] == (
            503,
            b"services are not listed yet\nendpointslices are not listed yet\n",
        )
        answers.reasons = []
        assert (await asked(session, "/readyz"))[::2] == (200, b"ok\n")


async def test_metrics_come_as_prometheus_wants_them() -> None:
    async with serving(Fixed(chunks=3)) as session:
        assert await asked(session, "/metrics") == (
            200,
            TEXT,
            PAGE * 3,
        )


async def test_metrics_are_openmetrics_for_those_who_want_that() -> None:
    answers = Fixed()
    async with serving(answers) as session:
        for accepted, kind in ((OPENMETRICS, OPENMETRICS), ("text/plain", TEXT)):
            found = await asked(session, "/metrics", Accept=accepted)
            assert (found[1], answers.openmetrics) == (kind, kind is OPENMETRICS)


async def test_metrics_are_compressed_for_those_who_take_gzip() -> None:
    async with (
        serving(Fixed(chunks=1000)) as session,
        session.get("/metrics", headers={"Accept-Encoding": "gzip"}) as response,
    ):
        body = await response.read()
        assert response.headers["Content-Encoding"] == "gzip"

    assert gzip.decompress(body) == PAGE * 1000
    assert len(body) < 10 * len(PAGE)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip;q=0", False),
        ("identity, GZIP ; q=0.000", False),
        ("identity", False),
        ("x-gzip-not", False),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=1", True),
    ],
)
async def test_metrics_are_compressed_as_the_scraper_weighs_it(accepted: str, packed: bool) -> None:
    async with (
        serving(Fixed()) as session,
        session.get("/metrics", headers={"Accept-Encoding": accepted}) as response,
    ):
        assert ("Content-Encoding" in response.headers) is packed


async def test_the_api_is_json() -> None:
    async with serving(Fixed()) as session:
        for path, expected in (
            ("/api/v1/services", {"services": [], "verdict": "healthy"}),
            ("/api/v1/services/shop/web", {"service": {"namespace": "shop", "name": "web"}}),
            ("/api/v1/incidents", {"incidents": []}),
            ("/api/v1/changes", {"changes": [], "rollouts": []}),
            ("/api/v1/rollouts", {"node": "a", "rollouts": [{"of": None}], "reports": []}),
        ):
            status, kind, body = await asked(session, path)
            assert (200, "application/json", expected) == (status, kind, json.loads(body))


async def test_services_are_told_of_one_namespace_if_asked() -> None:
    found = [{"namespace": "shop"}, {"namespace": "bank"}]
    async with serving(Fixed(found=found)) as session:
        _, _, body = await asked(session, "/api/v1/services?namespace=bank")

    assert json.loads(body)["services"] == [{"namespace": "bank"}]


async def test_the_first_page_leads_to_all_there_is_to_read() -> None:
    async with serving(Fixed()) as session:
        _, _, page = await asked(session, "/")
        for path in LINKED:
            assert f'<a href="{path}">'.encode() in page
            assert (await asked(session, path))[0] == 200


async def test_the_api_is_compressed_for_those_who_take_gzip() -> None:
    async with (
        serving(Fixed(found=[{"name": "web"}] * 1000)) as session,
        session.get("/api/v1/services", headers={"Accept-Encoding": "gzip"}) as response,
    ):
        body = await response.read()

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(body))["services"]) == 1000
    assert len(body) < 1000


async def test_a_check_is_a_post_that_answers_as_the_service_and_may_be_refused() -> None:
    path = "/api/v1/check/shop/web"
    async with serving(Fixed()) as session:
        assert (await asked(session, path))[0] == 405
        status, kind, body = await asked(session, path, "POST")
        assert (status, kind) == (200, "application/json")
        assert json.loads(body) == {"service": {"namespace": "shop", "name": "web"}}
        status, _, body = await asked(session, path, "POST")
        assert (status, json.loads(body)) == (429, {"error": "one check is running already"})


async def test_only_what_is_known_is_checked_and_only_with_the_key() -> None:
    async with serving(Fixed(), api_key="tops3cret") as session:
        path = "/api/v1/check/shop/unknown"
        assert (await asked(session, path, "POST"))[0] == 401
        status, _, body = await asked(session, path, "POST", **{KEY_HEADER: "tops3cret"})
        assert (status, json.loads(body)) == (404, {"error": f"there is no {path}"})


@pytest.mark.parametrize("count", [0, 1, 3000])
async def test_what_is_told_one_by_one_is_a_list(count: int) -> None:
    found = [{"name": f'"s{i}"', "summary": "é\n" * 100} for i in range(count)]
    async with serving(Fixed(found=found)) as session:
        _, _, body = await asked(session, "/api/v1/services")

    assert json.loads(body) == {"services": found, "verdict": "healthy"}


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/metrics/",
        "/api",
        "/api/v1",
        "/api/v1/services/shop",
        "/api/v1/services/shop/unknown",
        "/api/v2/services",
    ],
)
async def test_what_there_is_not_is_404_as_json(path: str) -> None:
    async with serving(Fixed()) as session:
        status, kind, body = await asked(session, path)

    assert (status, kind) == (404, "application/json")
    assert {"error": f"there is no {path}"} == json.loads(body)


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/api/v1/services"])
async def test_all_else_is_only_read(path: str) -> None:
    async with (
        serving(Fixed()) as session,
        session.post(path) as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
        assert {"error": f"{path} takes GET, HEAD only"} == await response.json()


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/api/v1/services"])
async def test_head_is_get_without_the_body(path: str) -> None:
    async with serving(Fixed()) as session:
        status, kind, body = await asked(session, path, "HEAD")
        assert (status, body) == (200, b"")
        assert kind == (await asked(session, path))[1]


async def test_the_api_wants_the_key_and_nothing_else_does() -> None:
    async with serving(Fixed(), api_key="tops3cret") as session:
        for key in ("", "wrong", "tops3cre", "tops3crett", "\xe9\xff"):
            headers = {KEY_HEADER: key} if key else {}
            status, kind, body = await asked(session, "/api/v1/services", **headers)
            assert (status, kind) == (401, "application/json")
            assert KEY_HEADER in json.loads(body)["error"]
        assert (await asked(session, "/api/v1/nope"))[0] == 401
        assert (await asked(session, "/api/v1/services", **{KEY_HEADER: "tops3cret"}))[0] == 200
        for path in ("/metrics", "/livez", "/readyz", "/"):
            assert (await asked(session, path))[0] == 200


async def test_the_longest_key_that_may_be_set_is_taken() -> None:
    key = "\xe9" * (KEY_MAX // 2)
    async with serving(Fixed(), api_key=load({"api_key": key}).api_key) as session:
        assert (await asked(session, "/api/v1/services", **{KEY_HEADER: key}))[0] == 200


async def test_the_api_is_rate_limited_and_the_rest_is_not() -> None:
    async with serving(Fixed()) as session:
        began, granted = time.monotonic(), 0
        while True:
            async with session.get("/api/v1/changes") as response:
                if response.status != 200:
                    break
            granted += 1
        assert API_BURST <= granted <= API_BURST + 1 + API_RATE * (time.monotonic() - began)
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert {(await asked(session, "/metrics"))[0] for _ in range(100)} == {200}


async def test_those_without_the_key_do_not_use_up_the_rate() -> None:
    async with serving(Fixed(), api_key="k") as session:
        for _ in range(2 * API_BURST):
            await asked(session, "/api/v1/changes", **{KEY_HEADER: "wrong"})
        assert (await asked(session, "/api/v1/changes", **{KEY_HEADER: "k"}))[0] == 200


async def scraping(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A scraper that has asked for the metrics and reads nothing so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    return reader, writer


async def test_a_scraper_that_does_not_read_holds_nobody_up_and_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Fixed(chunks=100_000, chunk=PAGE * 100)
    async with serving(answers) as session:
        port = session._base_url.port  # type: ignore[union-attr]
        assert port
        async with asyncio.timeout(30):  # less than the usual READ_SECONDS
            _, patient = await scraping(port)
            for _ in range(20):
                assert (await asked(session, "/livez"))[0] == 200
                await asyncio.sleep(0.01)
        assert not answers.closed.is_set()
        patient.transport.abort()

        monkeypatch.setattr(served, "READ_SECONDS", 0.5)
        reader, writer = await scraping(port)
        end = b""
        async with asyncio.timeout(60):
            while part := await reader.read(2**16):
                end = part
                await asyncio.sleep(0.001)
        assert not end.endswith(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_scraper_that_goes_away_in_the_middle_leaves_nothing_behind(
    encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    noise = random.Random(0).randbytes(2**16)  # gzip cannot make it small enough to be sent at once
    answers = Fixed(chunks=1_000_000, chunk=noise)
    async with serving(answers) as session:
        port = session._base_url.port  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
        )
        assert await reader.readexactly(2**18)
        writer.transport.abort()
        await asyncio.wait_for(answers.closed.wait(), 10)
        assert (await asked(session, "/livez"))[0] == 200

    assert not caplog.records


async def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    async with serving(Fixed()) as session:
        port = session._base_url.port  # type: ignore[union-attr]
        assert port
        second = Server(Fixed())
        with pytest.raises(OSError, match="in use"):
            await second.start("127.0.0.1", port)
        await second.close()
