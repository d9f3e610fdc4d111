"""What a person at a terminal sees while nobody answers."""

import asyncio
import os
import re
import signal
import socket
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import write_kubeconfig
from tests.running import PATIENCE, environment

pytestmark = pytest.mark.slow

COMMANDS = (("check", "all"), ("check", "svc", "web"), ("watch", "deploy/web"))
LOGIN = "open https://device.example and enter the code ABCD-EFGH"


def plugin(script: str) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script]}}


async def shown_until(words: tuple[str, ...], *arguments: str) -> str:
    """What a terminal shows of a command until it has shown all the words; then comes Ctrl-C."""
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 200))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", *arguments),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment(TERM="xterm"),
    )
    os.close(terminal)
    shown = ""
    try:
        async with asyncio.timeout(PATIENCE):
            while not all(word in shown for word in words):
                shown += (await asyncio.to_thread(os.read, master, 2**16)).decode()
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.wait()
        os.close(master)
    return shown


@pytest.mark.parametrize("command", [*COMMANDS, ("lint", "--live"), ("run",)])
async def test_a_plugin_s_login_is_read_and_who_is_waited_for(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    waits = f'echo $$ > {tmp_path}/pid; echo "{LOGIN} $KUBERNETES_EXEC_INFO" >&2; exec sleep 600'
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user=plugin(waits))

    said = "probe: waiting for sh (the exec plugin of context 'test') ..."
    # Who is slow to say what is to be done says it after we have said that it is waited for.
    words = (LOGIN, '"interactive": true', said)
    await shown_until(words, *command, "--kubeconfig", str(path))

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_api_server_that_hangs_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        path = write_kubeconfig(tmp_path / "k", url)

        shown = await shown_until((" ...",), *command, "--kubeconfig", str(path))

    assert re.search(rf"\r\x1b\[Kprobe: asking (the API server at )?{url}", shown)


async def test_a_daemon_that_logs_json_keeps_a_plugin_out_of_its_log(tmp_path: Path) -> None:
    refuses = f"echo '{LOGIN}' >&2; exit 1"
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user=plugin(refuses))

    end = f"and said '{LOGIN}': run it by hand"
    shown = await shown_until((end,), "run", "--log-format", "json", "--kubeconfig", str(path))

    (line,) = shown.splitlines()
    assert line.startswith("probe: context 'test' in kubeconfig ")
    assert line.endswith(end)
