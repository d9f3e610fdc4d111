"""What somebody named and is not there: where it may be, and how it is written.

At three in the morning it is the wrong namespace, the wrong context, a slip of a letter, or the
name as another tool writes it.
"""

import re
from difflib import get_close_matches
from typing import Any

from probe.core import kube
from probe.reflector import ApiTrouble, Connection

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""What a Service may be called (a DNS-1035 label; KEP-5311 lets it begin with a digit)."""

SHOWN = 3
"""Namespaces that are named at most; the others are counted."""


class NotFound(LookupError):
    """There is no such object; the text begins as kubectl's does, and says where to look."""


def miswritten(namespace: str, name: str) -> NotFound:
    """What is said of a text that can be no Service's name."""
    return NotFound(f"{_said('Service', namespace, name)}: {_rewritten(namespace, name)}")


async def missing(
    connection: Connection, resource: kube.Resource, kind: str, namespace: str, name: str
) -> NotFound:
    """What is said of a name that `namespace` does not have. It is looked for in all namespaces,
    as far as the API server lets us."""
    hint = await _elsewhere(connection, resource, namespace, name)
    hint = hint or await _nearby(connection, resource, namespace, name)
    at = f" (API server {connection.server})"
    return NotFound(f"{_said(kind, namespace, name)}{at}: {hint or '-n names another one'}")


def _said(kind: str, namespace: str, name: str) -> str:
    return f'{kind} "{name}" not found in namespace "{namespace}"'


def _rewritten(namespace: str, name: str) -> str:
    """How to write it: `svc/NAME`, `NAMESPACE/NAME`, `NAME.NAMESPACE.svc` and `NAME:PORT` are what
    other tools take."""
    kind, slash, rest = name.partition("/")
    text = rest if slash and kind in ("svc", "service", "services") else name
    if "/" in text:
        namespace, _, text = text.partition("/")
    text = text.partition(":")[0]
    text, dot, within = text.partition(".")
    namespace = within.partition(".")[0] if dot else namespace
    if not NAME.fullmatch(text) or not NAME.fullmatch(namespace):
        return "a name has lower-case letters, digits and dashes only, 63 at most"
    return f"write the name alone, the namespace with -n: {text} -n {namespace}"


async def _elsewhere(
    connection: Connection, resource: kube.Resource, namespace: str, name: str
) -> str:
    chosen = {"fieldSelector": f"metadata.name={name}"}
    found = await _listed(connection, resource, "", **chosen)
    others = sorted({fact.namespace for fact in found or ()} - {namespace})
    if not others:
        return ""
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    said = f"it is in {', '.join(others[:SHOWN])}{more}"
    return f"{said}: add -n {others[0]}" if len(others) == 1 else f"{said}: choose with -n"


async def _nearby(
    connection: Connection, resource: kube.Resource, namespace: str, name: str
) -> str:
    found = await _listed(connection, resource, namespace)
    if found:
        close = get_close_matches(name, [fact.name for fact in found], n=1)
        return f"did you mean {close[0]}?" if close else ""
    named = {"fieldSelector": f"metadata.name={namespace}"}
    there = await _listed(connection, kube.NAMESPACES, "", **named)
    return "there is no such namespace: -n names another one" if there == () else ""


async def _listed(
    connection: Connection, resource: kube.Resource, namespace: str, **chosen: str
) -> tuple[Any, ...] | None:
    """None if the API server does not tell: it is only for a hint."""
    try:
        return (await connection.list(resource, namespace, **chosen))[0].facts
    except ApiTrouble:
        return None
