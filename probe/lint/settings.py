"""What a manifest tells its programs: names with values, out of env, arguments and ConfigMaps.

Values that are files themselves (properties, YAML, TOML, JSON, nginx) are read line by line, as far
as it takes to see a name, a value, and under which names it stands.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from probe.core.targets import masked
from probe.lint.documents import Document
from probe.lint.spots import reads_like_an_address
from probe.lint.values import Path, items, mapping, number, text, texts, within
from probe.lint.workloads import HOOKS, PROBES, Container, Workload

FILE_MAX = 256 * 1024
"""Characters of one value that are looked at: etcd takes objects of 1.5 MB, and what is larger than
this is data (dashboards, certificates)."""

LINE_MAX = 2000
"""Characters of a line: what is longer is no setting that somebody wrote."""


class Setting(NamedTuple):
    """`name` is what the value is called, empty if nothing calls it; `under` are the names that it
    stands below, the outermost first. `path` leads to the document's value; where that is longer,
    `line` is the piece of it to point at."""

    path: Path
    name: str
    value: str
    under: tuple[str, ...] = ()
    line: str = ""

    @property
    def full_name(self) -> str:
        """With the name that it stands below, in a file: `backend address`, not `address`."""
        above = self.under[-1] if len(self.under) > 1 else ""
        return f"{above} {self.name}" if self.name else above

    @property
    def called(self) -> str:
        """For a sentence, which may go to the log of a pipeline: passwords are left out of it. A
        short flag before a URL is rarely about it: `wget -qO- http://0`."""
        value = masked(self.value)
        if not self.name or (_SHORT.fullmatch(self.name) and not reads_like_an_address(self.name)):
            return value
        return f"{self.name} is {value}"


class Told(NamedTuple):
    """A setting where it stands, and the ports of the pods that read it."""

    document: Document
    setting: Setting
    own: frozenset[int]


def of_workload(workload: Workload) -> Iterator[Setting]:
    """Of all its containers, init containers among them."""
    for container in workload.containers:
        for name, value, path in container.env():
            yield from _of_value(path, name, value)
        for key in ("command", "args"):
            yield from of_arguments((*container.path, key), container.value.get(key))
        yield from _of_actions(container)


def _of_actions(container: Container) -> Iterator[Setting]:
    """Commands of probes and hooks, and the hosts that they ask."""
    for place in _ACTIONS:
        action: dict[str, Any] = mapping(within(container.value, *place))
        if not action:
            continue
        path = (*container.path, *place)
        yield from of_arguments((*path, "exec", "command"), within(action, "exec", "command"))
        for kind in ("httpGet", "tcpSocket"):
            if host := text(within(action, kind, "host")):
                yield Setting((*path, kind, "host"), ASKED, host)


def of_config_map(document: Document) -> Iterator[Setting]:
    """Of each of its entries: one value, or a file."""
    for key, value in mapping(document.value.get("data")).items():
        if isinstance(value, str | int | float):
            yield from _of_value(("data", key), key, str(value))


def of_generators(document: Document) -> Iterator[tuple[str, Setting]]:
    """Of the ConfigMaps that a Kustomization makes of literals, with their names."""
    for g, generator in items(document.value.get("configMapGenerator")):
        for i, literal in enumerate(texts(generator.get("literals"))):
            name, _, value = literal.partition("=")
            for setting in _of_value(("configMapGenerator", g, "literals", i), name, value):
                yield text(generator.get("name")), setting


def of_arguments(path: Path, value: Any) -> Iterator[Setting]:
    """`--name=value`, `--name value`, and what stands alone. Scripts for a shell are taken line by
    line and word by word."""
    args = texts(value)
    if not isinstance(value, list) or len(args) != len(value):
        return
    for i, argument in enumerate(args):
        if not _ADDRESS.search(argument):
            continue
        if not _BLANK.search(argument.strip()):
            yield from _of_word((*path, i), args, i, "")
            continue
        for line in argument[:FILE_MAX].splitlines():
            if _ADDRESS.search(line) and not _COMMENT.match(line):
                words = [word.strip("\"'`\\") for word in _APART.split(line[:LINE_MAX])]
                for position in range(len(words)):
                    yield from _of_word((*path, i), words, position, line.strip())


def _of_word(path: Path, words: list[str], i: int, line: str) -> Iterator[Setting]:
    found = _ASSIGNED.fullmatch(words[i])
    if found:
        yield Setting(path, found[1].removeprefix("-D"), found[2].strip("\"'"), line=line)
    elif not words[i].startswith("-"):
        before = words[i - 1] if i else ""
        flag = before if before.startswith("-") and "=" not in before else ""
        yield Setting(path, flag, words[i], line=line)


def _of_value(path: Path, name: str, value: str) -> Iterator[Setting]:
    if not _ADDRESS.search(value):
        return
    if "\n" not in value.strip() and not value.lstrip().startswith(("{", "[{", '["')):
        yield Setting(path, name, value.strip()[:LINE_MAX])
        return
    yield from lines(path, name, value[:FILE_MAX])


def lines(path: Path, file: str, content: str) -> Iterator[Setting]:
    """The settings in a file of that name, those alone that may hold an address."""
    above: list[tuple[int, str]] = []
    section: tuple[str, ...] = ()
    for line in content.splitlines():
        bare = line.strip()
        if not bare or len(line) > LINE_MAX or _COMMENT.match(bare):
            continue
        if found := _SECTION.fullmatch(bare):
            section, above = (found[1],), []
            continue
        indent = len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip(" -"))
        names = bool(_NAMED.match(line.lstrip(" \t-")))
        while above and above[-1][0] >= indent + (not names):
            above.pop()
        if _OPENS.search(bare):
            above.append((indent, _OPENS.sub("", bare).strip("\"' \t:=-")))
        elif _ADDRESS.search(bare):
            under = (file, *section, *(each for _, each in above))
            yield from _of_line(path, under, bare)


def _of_line(path: Path, under: tuple[str, ...], bare: str) -> Iterator[Setting]:
    """Mostly one; several where braces or semicolons part them (nginx, JSON in one line)."""
    opened: list[str] = []
    line = _COMMENTED.sub("", bare)
    parts = [line] if "{{" in line else _PARTS.split(line)
    for part, mark in zip(parts[::2], [*parts[1::2], ""], strict=True):
        match = _NAMED.match(part.strip(" \t-,"))
        name, value = (match[1], part.strip(" \t-,")[match.end() :]) if match else ("", part)
        value = value.strip(" \t,\"'")
        if mark == "{":
            opened.append(f"{name} {value}".strip())
        elif _ADDRESS.search(value):
            yield Setting(path, name, value, (*under, *opened), bare)
        if mark == "}" and opened:
            opened.pop()


def of_slice(document: Document) -> Iterator[tuple[Path, str]]:
    """The addresses of an EndpointSlice or of Endpoints, and where they stand."""
    if document.kind == "EndpointSlice":
        for e, endpoint in items(document.value.get("endpoints")):
            for a, address in enumerate(texts(endpoint.get("addresses"))):
                yield ("endpoints", e, "addresses", a), address
    elif document.kind == "Endpoints":
        for s, subset in items(document.value.get("subsets")):
            for a, each in items(subset.get("addresses")):
                if address := text(each.get("ip")):
                    yield ("subsets", s, "addresses", a, "ip"), address


def ports_of_slice(document: Document) -> Iterator[tuple[Path, int]]:
    """Their ports, and where they stand."""
    places: list[tuple[Path, Any]] = [(("ports",), document.value.get("ports"))]
    for s, subset in items(document.value.get("subsets")):
        places.append((("subsets", s, "ports"), subset.get("ports")))
    for path, value in places:
        for p, each in items(value):
            if (port := number(each.get("port"))) is not None:
                yield (*path, p, "port"), port


ASKED = "host"
"""What the host of a probe or a hook is called."""

_ACTIONS: tuple[tuple[str, ...], ...] = (
    *((each,) for each in PROBES),
    *(("lifecycle", each) for each in HOOKS),
)
_ADDRESS = re.compile(
    r"""(?<![\w.:-])(?:0[0-9xX.]*|\[[0:.]*\])(?![\w.]) | ://:\d
        | :(?:0+|\d{5,6})(?!\d) | \.svc(?!\w)""",
    re.VERBOSE,
)
"""What a value has that a rule may say something about: a zero as a host, a strange port, a
Service's name. All others are passed over at once: they are nearly all there are."""

_BLANK = re.compile(r"\s")
_SHORT = re.compile(r"-\w+-?")
_APART = re.compile(r"[\s;|&<>]+")
_ASSIGNED = re.compile(r"(-{0,2}[A-Za-z_][\w.-]*)=(.+)")
_NAMED = re.compile(r"""["']?([A-Za-z_][\w.\-/]*)["']?[ \t]*(?:[:=](?=[ \t"']|$)|=|[ \t])[ \t]*""")
_OPENS = re.compile(r"(?:[:=]|[:=]?\s*[{\[]|:\s*[|>][-+]?)$")
_PARTS = re.compile(r"([{};])")
_SECTION = re.compile(r"\[+([\w.\" -]+)\]+")
_COMMENT = re.compile(r"\s*(#|//|;|--|\*)")
_COMMENTED = re.compile(r"\s+#.*$")
