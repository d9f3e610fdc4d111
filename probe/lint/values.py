"""Plain values of an object that may be of any shape: what does not fit counts as absent."""

from collections.abc import Iterator
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to a value inside of a document."""


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def within(value: Any, *path: str) -> Any:
    """The value under these keys, None if there is none."""
    for key in path:
        value = mapping(value).get(key)
    return value


def items(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The maps of a list, with their positions."""
    if isinstance(value, list):
        yield from ((i, each) for i, each in enumerate(value) if isinstance(each, dict))


def texts(value: Any) -> list[str]:
    """The texts of a list; a number among them is one that somebody forgot to quote."""
    return [str(each) for each in value if not _is_nested(each)] if isinstance(value, list) else []


def _is_nested(value: Any) -> bool:
    return value is None or isinstance(value, dict | list)


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> int | None:
    """A whole number; `True` is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def port(value: Any) -> int | str | None:
    """An IntOrString as the API takes it: a number, or a name; None if it is neither."""
    return number(value) if not isinstance(value, str) else value or None


def labels(value: Any) -> dict[str, str]:
    """Labels or a selector: texts under texts."""
    return {key: each for key, each in mapping(value).items() if isinstance(each, str)}


PLACEHOLDERS = ("{{", "${", "$(", "<", "[[", "%%", "__")


def is_placeholder(value: str) -> bool:
    """Whether a tool is to fill something in before the cluster sees it: `${PORT}`, `{{ port }}`,
    `$(PORT)`, `<PORT>`, `__PORT__`."""
    return any(mark in value for mark in PLACEHOLDERS) or value.startswith("$")
