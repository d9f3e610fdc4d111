"""Patches as kubectl sends them: JSON merge patch, JSON patch, strategic merge patch.

Pure functions: the object given is never changed, the one returned shares nothing with it or
with the patch. A patch that does not fit raises PatchError.
"""

import copy
from typing import Any

from probe.sandbox.mergekeys import SETS, merge_keys

Path = tuple[str, ...]


class PatchError(ValueError):
    """A patch that is malformed, or does not fit the object."""


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return copy.deepcopy(merged)


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902: add, remove, replace, move, copy and test, all or none."""
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is a list of operations")
    document = {"": copy.deepcopy(target)}  # so that the whole document has a parent, too
    for operation in operations:
        try:
            _operate(document, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise PatchError(f"cannot apply {operation}: {error}") from error
    return document[""]


def strategic_merge_patch(target: Any, patch: Any) -> Any:
    """Kubernetes' own: as a merge patch, but lists that have merge keys are merged by item.

    Knows `$patch: delete|replace|merge`, `$retainKeys`, `$setElementOrder/LIST` and
    `$deleteFromPrimitiveList/LIST`.
    """
    if not isinstance(patch, dict) or not isinstance(target, dict):
        raise PatchError("a strategic merge patch is an object, and so is what it patches")
    return _merge_object(copy.deepcopy(target), copy.deepcopy(patch), ())


def _operate(document: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation["op"], _pointer(operation["path"])
    if kind == "add":
        _add(document, path, copy.deepcopy(operation["value"]))
    elif kind == "remove":
        _take(document, path)
    elif kind == "replace":
        _take(document, path)
        _add(document, path, copy.deepcopy(operation["value"]))
    elif kind == "move":
        source = _pointer(operation["from"])
        if path[: len(source)] == source and path != source:
            raise ValueError("a value cannot be moved into itself")
        _add(document, path, _take(document, source))
    elif kind == "copy":
        _add(document, path, copy.deepcopy(_look(document, _pointer(operation["from"]))))
    elif kind == "test":
        if not _same(_look(document, path), operation["value"]):
            raise ValueError("the test failed")
    else:
        raise ValueError("no such operation")


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON: true is not 1, as it would be in Python."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"not a JSON pointer: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _look(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(part, len(document) - 1) if isinstance(document, list) else part]
    return document


def _add(document: Any, path: list[str], value: Any) -> None:
    parent, last = _look(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        parent[last] = value


def _take(document: Any, path: list[str]) -> Any:
    parent, last = _look(document, path[:-1]), path[-1]
    return parent.pop(_index(last, len(parent) - 1) if isinstance(parent, list) else last)


def _index(part: str, highest: int) -> int:
    if not part.isdecimal() or (part[0] == "0" and part != "0") or int(part) > highest:
        raise IndexError(f"no index {part}")
    return int(part)


def _merge_object(target: Any, patch: dict[str, Any], path: Path) -> dict[str, Any]:
    directive = patch.pop("$patch", "merge")
    if directive == "delete":
        return {}
    if directive == "replace":
        return patch
    if directive != "merge":
        raise PatchError(f"unknown patch type: {directive}")
    merged = dict(target) if isinstance(target, dict) else {}
    if (retained := patch.pop("$retainKeys", None)) is not None:
        merged = {name: value for name, value in merged.items() if name in retained}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merge_object(merged.get(name), value, (*path, name))
        elif isinstance(value, list):
            merged[name] = _merge_list(merged.get(name) or [], value, (*path, name))
        else:
            merged[name] = value
    _follow_list_directives(merged, target, patch, path)
    return merged


def _follow_list_directives(
    merged: dict[str, Any], target: Any, patch: dict[str, Any], path: Path
) -> None:
    for directive, values in patch.items():
        kind, slash, name = directive.partition("/")
        if not slash or name not in merged:
            continue
        if kind == "$deleteFromPrimitiveList":
            merged[name] = [value for value in merged[name] if value not in values]
        elif kind == "$setElementOrder":
            before = target.get(name) if isinstance(target, dict) else None
            merged[name] = _ordered(merged[name], values, before or [], (*path, name))


def _merge_list(target: list[Any], patch: list[Any], path: Path) -> list[Any]:
    if path[-1] in SETS:
        return [*target, *(value for value in patch if value not in target)]
    keys = merge_keys(path)
    if keys is None:
        return [_without_nulls(item) for item in patch]
    key = keys[0]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    merged = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise PatchError(f"{item} does not contain declared merge key: {key}")
        at = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif at is None:
            merged.append(_merge_object({}, item, path))
        else:
            merged[at] = _merge_object(merged[at], item, path)
    return merged


def _ordered(merged: list[Any], order: list[Any], before: list[Any], path: Path) -> list[Any]:
    """The items named in `order`, in that order, and the server's own where they stood."""
    keys = merge_keys(path)

    def named(item: Any) -> Any:
        return item.get(keys[0]) if keys and isinstance(item, dict) else item

    wanted, stood = [named(item) for item in order], [named(item) for item in before]
    listed = sorted(
        (item for item in merged if named(item) in wanted),
        key=lambda item: wanted.index(named(item)),
    )
    extra = [item for item in merged if named(item) not in wanted]
    result = []
    while listed and extra:
        first, own = named(listed[0]), named(extra[0])
        stood_later = first in stood and own in stood and stood.index(first) > stood.index(own)
        result.append((extra if stood_later else listed).pop(0))
    return [*result, *listed, *extra]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value
