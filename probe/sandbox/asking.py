"""What a request asks for: its target, its options, its body, and the form of the answer.

Everything here refuses in the words of the real server (Refusal), and nothing touches the store.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from probe.sandbox import patching, protobuf
from probe.sandbox.discovery import AGGREGATED
from probe.sandbox.resources import Resource, find
from probe.sandbox.selectors import NEW_EVENTS, Predicate, keeps
from probe.sandbox.statuses import BadRequest, Invalid, NotAcceptable, UnsupportedMediaType

Obj = dict[str, Any]

PATCHES: Mapping[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patching.json_patch,
    "application/merge-patch+json": patching.merge_patch,
    "application/strategic-merge-patch+json": patching.strategic_merge_patch,
}
APPLY = "application/apply-patch+yaml"

UNKNOWN_FORMAT = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml"
)

MANAGER_LENGTH = 128
"""The longest name of a field manager: FieldManagerMaxLength of k8s.io/apimachinery."""

_LIST_OPTIONS = Resource("meta.k8s.io", "ListOptions", "listoptions")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. Without a name it is a collection; "" is every namespace, or none."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def target(path: str) -> Target | None:
    """The target of a path, None if nothing is served there."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] != "status":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    resource = find(group, version, plural)
    if resource is None or (subresource and subresource not in resource.subresources):
        return None
    if resource.namespaced is not bool(namespace) and (name or namespace):
        return None
    return Target(resource, namespace, name, subresource)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list or watch. `version` is None if unset, `start` where a page begins."""

    keeps: Predicate
    selective: bool
    version: int | None = None
    exact: bool = False
    limit: int = 0
    start: str = ""
    timeout: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None


def list_options(asked: Target, query: Mapping[str, str]) -> ListOptions:
    """Raises BadRequest and Invalid for what the real server refuses, too."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if asked.name:
        fields = ",".join(filter(None, [fields, f"metadata.name={asked.name}"]))
    new_events = asked.resource.qualified == NEW_EVENTS
    match, limit = query.get("resourceVersionMatch", ""), _number(query, "limit") or 0
    initial = _flag(query["sendInitialEvents"]) if "sendInitialEvents" in query else None
    if initial is not None and match != "NotOlderThan":
        rule = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        cause = ("FieldValueForbidden", f"Forbidden: {rule}", "resourceVersionMatch")
        raise Invalid(_LIST_OPTIONS, "", [cause])
    version = _version(query.get("resourceVersion", ""))
    start = ""
    if token := query.get("continue", ""):
        if version:
            raise BadRequest("specifying resource version is not allowed when using continue")
        version, start = read_continue(token)
    return ListOptions(
        keeps=keeps(NEW_EVENTS if new_events else asked.resource.plural, labels, fields),
        selective=bool(labels or fields),
        version=version,
        exact=match == "Exact" or bool(start) or bool(limit and version and not match),
        # A list "from any version" comes from the real server's cache, which knows no pages.
        limit=0 if version == 0 else limit,
        start=start,
        timeout=_number(query, "timeoutSeconds"),
        bookmarks=_flag(query.get("allowWatchBookmarks", "")),
        initial_events=initial,
    )


def write_continue(version: int, start: str) -> str:
    """The token of the page after `start`, of the list as of `version` (-1: as it is then)."""
    token = {"v": "meta.k8s.io/v1", "rv": version, "start": start}
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def read_continue(token: str) -> tuple[int, str]:
    """The version and start of a token. Raises BadRequest."""
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(read["rv"]), str(read["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"invalid continue token: continue key is not valid: {error}") from error


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The body and query of a delete; `grace` in seconds, None for the object's own."""

    grace: int | None = None
    uid: str | None = None
    version: str | None = None


def delete_options(query: Mapping[str, str], body: Obj) -> DeleteOptions:
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = _number(query, "gracePeriodSeconds")
    wanted = body.get("preconditions") or {}
    return DeleteOptions(
        grace=None if grace is None else int(grace),
        uid=wanted.get("uid"),
        version=wanted.get("resourceVersion"),
    )


def manager(query: Mapping[str, str], user_agent: str) -> str:
    """The field manager: as given, else the first word of the User-Agent, as the server does."""
    named = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
    return "".join(letter for letter in named if letter.isprintable())[:MANAGER_LENGTH]


def dry_run(query: Mapping[str, str], body: Obj | None = None) -> bool:
    asked = query.get("dryRun") or ",".join((body or {}).get("dryRun") or [])
    if asked not in ("", "All"):
        raise BadRequest(f'invalid dryRun: Unsupported value: "{asked}": supported values: "All"')
    return asked == "All"


def decode(content_type: str, body: bytes, *, kind: str) -> Obj:
    """The object in a body of JSON, YAML or some protobuf; `kind` is for messages."""
    if content_type == protobuf.CONTENT_TYPE:
        try:
            return protobuf.decode(body)
        except protobuf.Undecodable as error:
            raise UnsupportedMediaType(f"{UNKNOWN_FORMAT} (not in the sandbox: {error})") from error
    if content_type not in ("application/json", "application/yaml", ""):
        raise UnsupportedMediaType(UNKNOWN_FORMAT)
    obj = parse(body, kind=kind, as_yaml=content_type.endswith("yaml"))
    if not isinstance(obj, dict):
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind})")
    return obj


def parse(body: bytes, *, kind: str, as_yaml: bool = False) -> Any:
    try:
        if as_yaml:
            # As the real server: YAML is read as the JSON it stands for, with text for keys.
            body = json.dumps(yaml.load(body, _JsonLoader), allow_nan=False).encode()
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): {error}"
        ) from error


class _JsonLoader(yaml.SafeLoader):
    """Leaves times as text, which is what they are in JSON."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _no_constant(name: str) -> None:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def wants_watch(query: Mapping[str, str]) -> bool:
    return _flag(query.get("watch", ""))


def answer_form(accept: str) -> str:
    """ "table" or "json": the first form in an Accept header that is served.

    Protobuf is passed over, so clients that prefer it get the JSON they accept as well.
    """
    for offer in (accept or "*/*").split(","):
        media, *parameters = (part.strip() for part in offer.split(";"))
        given = dict(p.partition("=")[::2] for p in parameters)
        if media == "application/json" and given.get("as") == "Table" and given.get("v") == "v1":
            return "table"
        if media in ("application/json", "application/*", "*/*") and "as" not in given:
            return "json"
    raise NotAcceptable


def accepts_aggregated(accept: str) -> bool:
    return AGGREGATED in accept.replace(" ", "")


def _flag(text: str) -> bool:
    return text in ("1", "true", "True")


def _number(query: Mapping[str, str], name: str) -> int | None:
    try:
        return int(query[name]) if query.get(name) else None
    except ValueError as error:
        raise BadRequest(f"invalid {name}: {error}") from error


def _version(text: str) -> int | None:
    if text and not text.isdecimal():
        raise BadRequest(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text) if text else None
