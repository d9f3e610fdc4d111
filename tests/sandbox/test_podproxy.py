"""The API server's way to a pod: what goes on to it, what comes back, and what does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from probe.sandbox import podproxy
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store

PODS = "/api/v1/namespaces/shop/pods"


async def echo(request: web.Request) -> web.Response:
    """What the pod was asked."""
    seen = {
        "method": request.method,
        "path": request.path_qs,
        "body": await request.text(),
        "authorization": request.headers.get("Authorization"),
        "key": request.headers.get("X-Edgeprobe-Key"),
    }
    return web.json_response(seen, status=418, headers={"Retry-After": "7"})


@asynccontextmanager
async def standing(token: str | None = None) -> AsyncIterator[tuple[str, int]]:
    """The API server's URL, and the port of a pod named `cart` that echoes."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    pod, store = web.AppRunner(app, shutdown_timeout=0.1), Store()
    api = ApiServer(store, token=token)
    await pod.setup()
    await web.TCPSite(pod, "127.0.0.1", 0).start()
    await api.start()
    made = {"metadata": {"name": "cart", "namespace": "shop"}, "status": {"podIP": "127.0.0.1"}}
    store.create("pods", {"apiVersion": "v1", "kind": "Pod", **made}, manager="kubelet")
    try:
        yield api.url, pod.addresses[0][1]
    finally:
        await api.stop()
        await pod.cleanup()


async def asked(method: str, url: str, **more: Any) -> tuple[int, Any, str | None]:
    """Status, JSON and Retry-After."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **more) as response,
    ):
        return response.status, await response.json(), response.headers.get("Retry-After")


@pytest.mark.parametrize("scheme", ["", "http:"])
async def test_a_request_goes_on_to_the_pod_and_its_answer_comes_back(scheme: str) -> None:
    async with standing(token="secret") as (url, port):
        headers = {"Authorization": "Bearer secret", "X-Edgeprobe-Key": "k"}
        where = f"{url}{PODS}/{scheme}cart:{port}/proxy/api/v1/check?a=b"
        status, seen, again = await asked("POST", where, data="now", headers=headers)

    assert (status, again) == (418, "7")
    assert seen == {
        "method": "POST",
        "path": "/api/v1/check?a=b",
        "body": "now",
        "authorization": None,
        "key": "k",
    }


async def test_the_root_of_a_pod_needs_no_slash() -> None:
    async with standing() as (url, port):
        _, seen, _ = await asked("GET", f"{url}{PODS}/cart:{port}/proxy")

    assert (seen["method"], seen["path"]) == ("GET", "/")


async def test_who_may_not_ask_the_api_server_does_not_reach_the_pod() -> None:
    async with standing(token="secret") as (url, port):
        status, refusal, _ = await asked("GET", f"{url}{PODS}/cart:{port}/proxy/")

    assert (status, refusal["reason"]) == (401, "Unauthorized")


async def test_a_pod_that_is_not_there_or_not_listening_is_refused_as_kubernetes_does() -> None:
    async with standing() as (url, _):
        status, refusal, _ = await asked("GET", f"{url}{PODS}/till:80/proxy/")
        assert (status, refusal["message"]) == (404, 'pods "till" not found')
        status, refusal, _ = await asked("GET", f"{url}{PODS}/cart:1/proxy/")

    assert (status, refusal["kind"], refusal["reason"]) == (503, "Status", "ServiceUnavailable")
    assert refusal["message"].startswith("error trying to reach service: ")


def test_other_paths_are_no_business_of_the_proxy() -> None:
    for path in (PODS, f"{PODS}/cart", f"{PODS}/cart/proxy", f"{PODS}/cart:80/log", "/livez"):
        assert podproxy.asked(path) is None
