"""Refusals, and the Status objects that tell clients of them in the words of the real server."""

from typing import Any

from probe.sandbox.resources import Resource
from probe.sandbox.store import StoreError

Obj = dict[str, Any]


class Refusal(StoreError):
    """A request refused before it reached the store."""

    def __init__(self, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.details = details


class BadRequest(Refusal):
    code, reason = 400, "BadRequest"


class Unauthorized(Refusal):
    code, reason = 401, "Unauthorized"


class Forbidden(Refusal):
    code, reason = 403, "Forbidden"


class NotServed(Refusal):
    """No such resource, as against no such object."""

    code, reason = 404, "NotFound"

    def __init__(self) -> None:
        super().__init__("the server could not find the requested resource", {})


class MethodNotAllowed(Refusal):
    code, reason = 405, "MethodNotAllowed"

    def __init__(self) -> None:
        super().__init__("the server does not allow this method on the requested resource", {})


class NotAcceptable(Refusal):
    code, reason = 406, "NotAcceptable"

    def __init__(self) -> None:
        super().__init__("406: Not Acceptable\n\nAvailable representations: application/json", {})


class Conflicting(Refusal):
    code, reason = 409, "Conflict"


class TooLarge(Refusal):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(Refusal):
    code, reason = 415, "UnsupportedMediaType"


class Unprocessable(Refusal):
    """A patch that cannot be applied to the object."""

    code, reason = 422, "Invalid"

    def __init__(self) -> None:
        super().__init__("the server rejected our request due to an error in our request", {})


class InternalError(Refusal):
    code, reason = 500, "InternalError"


class TooLargeVersion(Refusal):
    code, reason = 504, "Timeout"

    def __init__(self, version: int, current: int) -> None:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        super().__init__(
            f"Timeout: Too large resource version: {version}, current: {current}",
            {"causes": [cause], "retryAfterSeconds": 1},
        )


class Invalid(Refusal):
    """Fields of an object that break its rules; `causes` are (reason, message, field)."""

    code, reason = 422, "Invalid"

    def __init__(self, resource: Resource, name: str, causes: list[tuple[str, str, str]]) -> None:
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        told = [f"{field}: {message}" for _, message, field in causes]
        what = told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"
        details = {
            **({"name": name} if name else {}),
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.kind,
            "causes": [{"reason": r, "message": m, "field": f} for r, m, f in causes],
        }
        super().__init__(f'{kind} "{name}" is invalid: {what}', details)


def failure(error: StoreError, asked: Resource | None = None) -> Obj:
    """The Status of a refusal; `asked` is the resource the request named."""
    message = str(error)
    details: Obj | None = None
    if isinstance(error, Refusal):
        details = error.details
    elif error.name:
        group = asked.group if asked and asked.plural == error.resource else ""
        details = {
            "name": error.name,
            **({"group": group} if group else {}),
            "kind": error.resource,
        }
        if group:
            message = message.replace(f'{error.resource} "', f'{error.resource}.{group} "', 1)
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": error.reason,
        **({} if details is None else {"details": details}),
        "code": error.code,
    }


def deleted(resource: Resource, obj: Obj) -> Obj:
    """The Status that answers a delete of the resources that do not answer with the object."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": obj["metadata"]["name"],
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.plural,
            "uid": obj["metadata"]["uid"],
        },
    }
