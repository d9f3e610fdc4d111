"""Who owns which field: metadata.managedFields as a real API server keeps them, and apply.

Fields are sets of paths in the words of FieldsV1: `f:name` for a field, `k:{...}` for a list item
by its keys, `v:...` for a value of a set, `.` for the item itself. Not kept: the API versions in
which a manager spoke (the sandbox serves one of each).
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from probe.sandbox.mergekeys import ATOMIC_MAPS, SETS, item_key, merge_keys

Obj = dict[str, Any]
Path = tuple[str, ...]

_META = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip

UNOWNED = frozenset(
    {("f:apiVersion",), ("f:kind",), *(("f:metadata", f"f:{name}") for name in _META)}
)
"""Fields nobody owns: stripped by the API server's fieldmanager (stripmeta.go)."""


SAME_MANAGER = {"kubectl": ("kubectl-client-side-apply",)}
"""Manager -> whom it succeeds: lastappliedmanager.go of the API server's fieldmanager."""


def fields_of(obj: Obj) -> dict[Path, Any]:
    """Every field of the object that can be owned, with its value."""
    return dict(_fields({k: v for k, v in obj.items() if k != "status" or v}, (), ()))


def note_update(
    old: Obj | None, new: Obj, manager: str, *, now: str, subresource: str = ""
) -> None:
    """Gives `manager` what differs between `old` and `new`, and takes it from everybody else.

    Writes `new`'s managedFields; the manager's entry is then the last of them. Who scales takes
    `replicas` from everybody and is named nowhere, as a 1.36 API server has it.
    """
    before, after = fields_of(old or {}), fields_of(new)
    changed = {p for p, value in after.items() if p not in before or before[p] != value}
    lost = before.keys() - after.keys()
    meta = new["metadata"]
    if not changed and not lost:
        return
    me = (manager, "Update", subresource)
    if subresource == "scale":
        changed, lost = set(), lost | changed
    entries = meta.get("managedFields", [])
    mine = _owned(e for e in entries if _identity(e) == me)
    others = [_without(e, lost | changed) for e in entries if _identity(e) != me]
    mine_now = (mine - lost) | changed
    meta["managedFields"] = [
        *(e for e in others if e["fieldsV1"]),
        *([_entry(new, me, mine_now, now)] if mine_now else []),
    ]


def apply(live: Obj | None, applied: Obj, manager: str, *, now: str, subresource: str = "") -> Obj:
    """Server-side apply: `live` with the applied fields set, and owned by `manager`.

    Fields that the manager applied before and leaves out now are removed, unless somebody else
    owns them too. Conflicts are the caller's: `conflicts` tells of them, this function forces.
    """
    me = (manager, "Apply", subresource)
    result: Obj = copy.deepcopy(live) if live else {}
    entries = result.get("metadata", {}).get("managedFields", [])
    theirs = [e for e in entries if _identity(e) != me]
    before = _owned(e for e in entries if _identity(e) == me)
    wanted, standing = fields_of(applied), fields_of(result)
    others_own = _owned(theirs)
    for path in sorted(before - wanted.keys() - others_own):
        if not _holds_up(path, others_own):
            _remove(result, path)
    result = _merge(result, applied, ())
    if live is not None and wanted.keys() == before and result == live:
        return result
    taken = {p for p, value in wanted.items() if p in standing and standing[p] != value}
    others = [e for e in (_without(e, taken) for e in theirs) if e["fieldsV1"]]
    result.setdefault("metadata", {})["managedFields"] = [
        *others,
        _entry(result, me, set(wanted), now),
    ]
    return result


def conflicts(live: Obj, applied: Obj, manager: str) -> list[tuple[str, str]]:
    """(manager, field) of what `applied` would change although another manager owns it.

    What kubectl applied on the client side is its own when it applies on the server side.
    """
    allowed = {manager, *SAME_MANAGER.get(manager, ())}
    wanted, standing = fields_of(applied), fields_of(live)
    changing = {p for p, value in wanted.items() if p in standing and standing[p] != value}
    return [
        (entry["manager"], readable(path))
        for entry in live["metadata"].get("managedFields", [])
        if entry["manager"] not in allowed
        for path in sorted(_owned([entry]) & changing)
    ]


def readable(path: Path) -> str:
    """A path as people read it: `.spec.ports[port=80,protocol="TCP"].targetPort`."""
    words = []
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            words.append(f".{rest}")
        elif kind == "k":
            pairs = json.loads(rest).items()
            words.append("[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs) + "]")
        elif kind == "v":
            words.append(f"[={rest}]")
    return "".join(words)


def _fields(value: Any, names: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    if path in UNOWNED:
        return
    if isinstance(value, dict) and value and (not names or names[-1] not in ATOMIC_MAPS):
        for name, child in value.items():
            if child is not None:
                yield from _fields(child, (*names, name), (*path, f"f:{name}"))
    elif isinstance(value, list) and _is_merged(value, names):
        for item, element in zip(value, _elements(value, names), strict=True):
            yield (*path, element, "."), None
            if isinstance(item, dict):
                yield from _fields(item, names, (*path, element))
    elif path:
        yield path, value


def _is_merged(items: list[Any], names: Path) -> bool:
    if names[-1] in SETS:
        return True
    keys = merge_keys(names)
    return keys is not None and all(item_key(item, keys) is not None for item in items)


def _elements(items: list[Any], names: Path) -> list[str]:
    if names[-1] in SETS:
        return [f"v:{json.dumps(item)}" for item in items]
    keys = merge_keys(names) or ()
    named = (item_key(item, keys) or () for item in items)
    return [
        "k:" + json.dumps(dict(sorted(zip(keys, key, strict=True))), separators=(",", ":"))
        for key in named
    ]


def _merge(target: Any, applied: Any, names: Path) -> Any:
    if isinstance(applied, dict) and isinstance(target, dict):
        if names and names[-1] in ATOMIC_MAPS:
            return copy.deepcopy(applied)
        merged = dict(target)
        for name, value in applied.items():
            if value is not None:
                merged[name] = _merge(target.get(name), value, (*names, name))
        return merged
    if isinstance(applied, list) and isinstance(target, list) and _is_merged(applied, names):
        held = dict(zip(_elements(target, names), target, strict=True))
        for element, item in zip(_elements(applied, names), applied, strict=True):
            held[element] = _merge(held.get(element), item, names)
        return list(held.values())
    return copy.deepcopy(applied)


def _holds_up(path: Path, others_own: set[Path]) -> bool:
    """Whether a list item stands by this path: its key, or itself while others own part of it."""
    if path[-1] == ".":
        return any(other[: len(path) - 1] == path[:-1] for other in others_own)
    kind, _, text = path[-2].partition(":") if len(path) > 1 else ("", "", "")
    return kind == "k" and path[-1].removeprefix("f:") in json.loads(text)


def _remove(obj: Any, path: Path) -> None:
    """Removes the field at `path`, and the objects that became empty by it."""
    head, rest = path[0], path[1:]
    kind, _, name = head.partition(":")
    if kind == "f" and isinstance(obj, dict) and name in obj:
        if rest:
            _remove_from(obj, name, rest)
        else:
            del obj[name]


def _remove_from(parent: Obj, name: str, rest: Path) -> None:
    child = parent[name]
    if isinstance(child, list):
        keep = [item for item in child if not _is_element(item, rest[0])]
        if rest[1:] in ((), (".",)):
            parent[name] = keep
        else:
            for item in child:
                if _is_element(item, rest[0]):
                    _remove(item, rest[1:])
    else:
        _remove(child, rest)
    if parent[name] in ({}, []):
        del parent[name]


def _is_element(item: Any, element: str) -> bool:
    kind, _, text = element.partition(":")
    wanted = json.loads(text)
    if kind == "k":
        keys = tuple(wanted)
        return item_key(item, keys) == tuple(wanted.values())
    return bool(item == wanted)


def _identity(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["manager"], entry["operation"], entry.get("subresource", "")


def _entry(obj: Obj, me: tuple[str, str, str], paths: Iterable[Path], now: str) -> Obj:
    entry = {
        "manager": me[0],
        "operation": me[1],
        "apiVersion": obj.get("apiVersion", "v1"),
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(paths),
    }
    return {**entry, "subresource": me[2]} if me[2] else entry


def _without(entry: Obj, paths: Iterable[Path]) -> Obj:
    return {**entry, "fieldsV1": _tree(_owned([entry]) - set(paths))}


def _owned(entries: Iterable[Obj]) -> set[Path]:
    return {path for entry in entries for path in _paths(entry.get("fieldsV1") or {}, ())}


def _tree(paths: Iterable[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    return tree


def _paths(tree: Obj, path: Path) -> Iterator[Path]:
    for element, below in tree.items():
        if below:
            yield from _paths(below, (*path, element))
        else:
            yield (*path, element)
