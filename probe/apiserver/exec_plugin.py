"""Asks the exec plugin of a kubeconfig's user who we are: what `aws eks get-token` is there for.

kubernetes_asyncio swallows what a plugin writes to stderr, where it says what its person is to do:
open a page, type a code. So we run it ourselves, as client-go does.
"""

import asyncio
import base64
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

SECONDS = 60.0
"""For a plugin to answer, perhaps with a person at a browser; arbitrary."""

TOLD_SECONDS = 1.0
"""A plugin that has a cached token is done by then; who waits longer wants to know for whom."""

KEPT = 2000
"""Characters of a plugin's last words that an error repeats: a few sentences. Arbitrary."""

REAPED_SECONDS = 1.0
"""For the kernel to end what was killed. Arbitrary."""

STDIN, STDOUT, STDERR = 0, 1, 2

Entry = dict[str, Any]


class PluginFailed(Exception):
    """The text ends the sentence about its context: what the plugin did, and what it said."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin gave: fields of a kubeconfig's user, and when they expire."""

    user: Entry
    expires: datetime | None


async def credential(spec: Entry, context: str, *, terminal: bool) -> Credential:
    """Runs the plugin that the user's `exec` names, for at most SECONDS.

    On a `terminal` its stderr is ours, and stdin too, so that it can ask a person; elsewhere its
    last words are in the error. Raises PluginFailed, and OSError where it cannot be run.
    """
    if missing := [key for key in ("command", "apiVersion") if not spec.get(key)]:
        raise PluginFailed(f"its exec plugin has no {' and no '.join(missing)}: name it")
    if not isinstance(spec.get("args") or [], list):
        raise PluginFailed("its exec plugin's args are no list: write one")
    asks = terminal and os.isatty(STDIN) and spec.get("interactiveMode") != "Never"
    loop = asyncio.get_running_loop()
    plugin, talk = await loop.subprocess_exec(
        _Talk,
        *map(str, (spec["command"], *(spec.get("args") or ()))),
        env=_environment(spec, asks=asks),
        stdin=None if asks else DEVNULL,
        stdout=PIPE,
        stderr=None if terminal else PIPE,
    )
    name = PurePath(str(spec["command"])).name
    told = loop.call_later(TOLD_SECONDS, _say, name, context) if terminal else None
    try:
        async with asyncio.timeout(SECONDS):
            await talk.over.wait()
    except TimeoutError:
        said = f"its exec plugin did not answer within {SECONDS:.0f} s{talk.last_words}"
        raise PluginFailed(f"{said}: run it by hand") from None
    finally:
        if told is not None:
            told.cancel()
        plugin.close()  # kills what still runs, and waits for no child of its
        with suppress(TimeoutError):
            async with asyncio.timeout(REAPED_SECONDS):
                await talk.over.wait()
    if code := plugin.get_returncode():
        said = f"its exec plugin {name} ended with {code}{talk.last_words}"
        raise PluginFailed(f"{said}: run it by hand")
    return _read(bytes(talk.heard[STDOUT]), str(spec["apiVersion"]))


class _Talk(asyncio.SubprocessProtocol):
    """What a plugin says, until it has ended and nobody holds its pipes any more."""

    def __init__(self) -> None:
        self.heard = {STDOUT: bytearray(), STDERR: bytearray()}
        self.over = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.heard[fd] += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.over.set()

    @property
    def last_words(self) -> str:
        said = " ".join(self.heard[STDERR].decode(errors="replace").split()).rstrip(".")
        return f" and said {said[-KEPT:]!r}" if said else ""


def _environment(spec: Entry, *, asks: bool) -> dict[str, str]:
    """Ours, what the kubeconfig adds, and what KEP-541 has a plugin told."""
    added = {str(each["name"]): str(each["value"]) for each in spec.get("env") or ()}
    info = {
        "apiVersion": spec["apiVersion"],
        "kind": "ExecCredential",
        "spec": {"interactive": asks},
    }
    return {**os.environ, **added, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _say(name: str, context: str) -> None:
    said = f"probe: waiting for {name} (the exec plugin of context {context!r}) ..."
    print(said, file=sys.stderr, flush=True)


def _read(answer: bytes, version: str) -> Credential:
    """The ExecCredential that the plugin printed."""
    try:
        found = json.loads(answer)
    except ValueError as error:
        raise PluginFailed(f"its exec plugin printed no JSON ({error}): run it by hand") from None
    status = found.get("status") if isinstance(found, dict) else None
    if not isinstance(status, dict):
        raise PluginFailed(
            "its exec plugin printed no ExecCredential with a status: run it by hand"
        )
    if found.get("apiVersion") != version:
        said = f"its exec plugin speaks {found.get('apiVersion')}, the kubeconfig {version}"
        raise PluginFailed(f"{said}: write its own version there")
    user: Entry = {}
    if token := status.get("token"):
        user["token"] = str(token)
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if certificate and key:
        user["client-certificate-data"] = base64.b64encode(str(certificate).encode()).decode()
        user["client-key-data"] = base64.b64encode(str(key).encode()).decode()
    if not user:
        raise PluginFailed("its exec plugin gave no token and no certificate with its key: mend it")
    # Certificates are asked for again when they are refused: they take new connections.
    return Credential(user, _expiry(status.get("expirationTimestamp")) if token else None)


def _expiry(text: object) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise PluginFailed(
            f"its exec plugin says that its token expires at {text!r}: that is no time"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
