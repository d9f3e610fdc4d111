"""Which pods are asked over the API server's pod proxy, and how."""

from pathlib import Path

import pytest
from aiohttp import web

from probe.settings import SettingsError, load
from probe.told import KEY_HEADER
from tests.front import answering, document, front, says


async def test_a_daemon_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    answers = [says({"error": "busy"}, 429, **{"Retry-After": "0"}), says(document("a"))]

    async def busy(request: web.Request) -> web.Response:
        return await answers.pop(0)(request)

    async with front(tmp_path) as ahead, answering(busy) as port:
        ahead.pod("a", port)
        assert (await ahead.ask()).nodes == ["a"]

    assert answers == []


async def test_the_key_goes_to_the_namespace_of_the_settings_only(tmp_path: Path) -> None:
    keys = []

    async def listening(request: web.Request) -> web.Response:
        keys.append(request.headers.get(KEY_HEADER))
        return web.json_response(document("a"))

    async with front(tmp_path) as ahead, answering(listening) as port:
        ahead.pod("a", port, where="elsewhere")
        for peers in ("edgeprobe/edgeprobe", "elsewhere/edgeprobe", ""):
            ahead.settings = load({"api_key": "tops3cret", "peers": peers})
            assert (await ahead.ask()).nodes == ["a"]

    assert keys == [None, "tops3cret", None]


async def test_daemons_in_several_namespaces_are_not_mixed(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(says(document("a"))) as port:
        ahead.pod("a", port, where="one")
        ahead.pod("b", port, where="two")
        with pytest.raises(SettingsError, match="one, two: say which by PROBE_PEERS"):
            await ahead.ask()
        ahead.settings = load({"peers": "two/edgeprobe"})
        assert (await ahead.ask()).nodes == ["b"]


async def test_the_ready_one_of_two_pods_on_a_node_is_asked(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(says(document("a"))) as port:
        ahead.pod("a", 1, where="edgeprobe", conditions=[])
        pod = ahead.store.get("pods", "edgeprobe", "edgeprobe-a")
        pod["metadata"] = {k: pod["metadata"][k] for k in ("namespace", "labels")}
        pod["metadata"]["name"] = "edgeprobe-z"
        pod["spec"]["containers"][0]["ports"][0]["containerPort"] = port
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        ahead.store.create("pods", pod, manager="kubelet")
        assert (await ahead.ask()).nodes == ["a"]


async def test_a_pod_that_is_on_no_node_yet_goes_by_its_own_name(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(says(document("a"))) as port:
        ahead.pod("a", port)
        ahead.pod("", port, phase="Pending", conditions=[])
        asked = await ahead.ask()

    assert (asked.nodes, asked.silent) == (["a"], {"edgeprobe-": "its pod edgeprobe- is Pending"})
