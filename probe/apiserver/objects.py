"""Single objects of the API server as plain JSON: created, patched, found by their fields."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from probe.apiserver.connection import Connection
from probe.apiserver.exchange import Exchange, Refusal
from probe.apiserver.refusals import ApiError, Status, Unreachable, api_error
from probe.core.kube import Resource

Json = dict[str, Any]

SECONDS = 10.0
"""For one answer: a write takes milliseconds. Arbitrary."""

FOUND_MAX = 500
"""Objects looked at: one page, client-go's defaultPageSize."""


async def create(connection: Connection, resource: Resource, namespace: str, obj: Json) -> None:
    """Raises ApiTrouble; it is ApiError with code 409 if there is one of that name."""
    asked = _asked("POST", resource.path(namespace), obj)
    await connection.exchange(asked, _refusal("create", resource, namespace))


async def patch(
    connection: Connection, resource: Resource, namespace: str, name: str, change: Json
) -> None:
    """By JSON merge patch. Raises ApiTrouble; it is ApiError with code 404 if there is none."""
    path = f"{resource.path(namespace)}/{quote(name, safe='')}"
    asked = _asked("PATCH", path, change, "application/merge-patch+json")
    await connection.exchange(asked, _refusal("patch", resource, namespace))


async def find(
    connection: Connection, resource: Resource, namespace: str, fields: Mapping[str, str]
) -> list[Json]:
    """The first FOUND_MAX objects whose fields have these values. Raises ApiTrouble."""
    selector = ",".join(f"{name}={value}" for name, value in fields.items())
    query = {"fieldSelector": selector, "limit": str(FOUND_MAX)}
    asked = Exchange("GET", resource.path(namespace), query, seconds=SECONDS)
    body = await connection.exchange(asked, _refusal("list", resource, namespace))
    try:
        items: list[Json] = msgspec.json.decode(body, type=_List).items
    except (ValueError, RecursionError) as error:
        raise Unreachable(
            f"the API server's list of {resource.name} is malformed: {error}"
        ) from error
    return items


class _List(msgspec.Struct):
    items: list[Json] = []


def _asked(method: str, path: str, body: Json, form: str = "application/json") -> Exchange:
    written = msgspec.json.encode(body)
    return Exchange(method, path, body=written, headers={"Content-Type": form}, seconds=SECONDS)


def _refusal(verb: str, resource: Resource, namespace: str) -> Refusal:
    def refusal(status: Status, seconds: float | None) -> ApiError:
        return api_error(status, verb, resource, namespace, seconds)

    return refusal
