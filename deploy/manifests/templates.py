"""Renders the chart's templates without Helm: as much of Go's text/template and of Helm's functions
as they use, and no more.

It is stricter than Helm: what it does not know, or values that are not there, is a TemplateError,
where Helm would print nothing. https://pkg.go.dev/text/template, https://helm.sh/docs/chart_template_guide
"""

import base64
import hashlib
import json
import posixpath
import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Never

import yaml

Values = Mapping[str, Any]


class TemplateError(ValueError):
    """A template that cannot be rendered; the text names what is wrong."""


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between `{{` and `}}`, and for if, with, range and define what it holds.

    `otherwise` follows its else; an `else if` is an if in there."""

    action: str
    body: "list[str | Block]" = field(default_factory=list)
    otherwise: "list[str | Block]" = field(default_factory=list)


Part = str | Block

ACTION = re.compile(r"\s*\{\{- |\{\{(?!-)")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|:=|[|(),]|[^\s|(),]+')
OPENS = ("if ", "with ", "range ", "define ")


def parse(text: str) -> list[Part]:
    """The template in parts. Raises TemplateError."""
    pieces = _pieces(text)
    parts, stopped = _body(pieces)
    if stopped:
        raise TemplateError(f"{stopped} without a beginning")
    return parts


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """Texts and actions (True), with the spaces taken off that `{{-` and `-}}` take."""
    at = 0
    while found := ACTION.search(text, at):
        yield False, text[at : found.start()]
        end = text.find("}}", found.end())
        if end < 0:
            raise TemplateError(f"{{{{ is not closed: {text[found.start() :][:40]!r}")
        action, at = text[found.end() : end], end + 2
        if action.endswith(" -"):
            action = action[:-2]
            at += len(text[at:]) - len(text[at:].lstrip())
        yield True, action.strip()
    yield False, text[at:]


def _body(pieces: Iterator[tuple[bool, str]]) -> tuple[list[Part], str]:
    """The parts until `end` or an `else`, and that."""
    parts: list[Part] = []
    for is_action, piece in pieces:
        if not is_action:
            parts.append(piece)
        elif piece == "end" or piece.split(" ")[0] == "else":
            return parts, piece
        elif piece.startswith(OPENS):
            parts.append(_block(piece, pieces))
        elif not piece.startswith("/*"):
            parts.append(Block(piece))
    return parts, ""


def _block(action: str, pieces: Iterator[tuple[bool, str]]) -> Block:
    body, stopped = _body(pieces)
    if stopped == "else":
        otherwise, stopped = _body(pieces)
    elif stopped.startswith("else if "):
        return Block(action, body, [_block(stopped.removeprefix("else "), pieces)])
    else:
        otherwise = []
    if stopped != "end":
        raise TemplateError(f"{{{{ {action} }}}} has no end")
    return Block(action, body, otherwise)


class Templates:
    """The templates of a chart, which may include each other's definitions."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._parts = {name: parse(text) for name, text in texts.items()}
        self._defined = {
            json.loads(part.action.removeprefix("define ")): part.body
            for parts in self._parts.values()
            for part in parts
            if isinstance(part, Block) and part.action.startswith("define ")
        }
        self._functions: dict[str, Callable[..., Any]] = {**FUNCTIONS, "include": self._include}

    def render(self, name: str, root: Values) -> str:
        """The template of this name; `root` holds Values, Release, Chart and Files."""
        return self._write(self._parts[name], {".": root, "$": root})

    def _include(self, name: str, dot: Any) -> str:
        return self._write(self._defined[name], {".": dot, "$": dot})

    def _write(self, parts: list[Part], scope: dict[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else self._act(part, scope) for part in parts)

    def _act(self, block: Block, scope: dict[str, Any]) -> str:
        word, _, rest = block.action.partition(" ")
        if word == "define":
            return ""
        if word == "range":
            return "".join(self._write(block.body, each) for each in self._each(rest, scope))
        if word in ("if", "with"):
            value = self._value(rest, scope)
            inner = {**scope, ".": value} if word == "with" and value else {**scope}
            return self._write(block.body if value else block.otherwise, inner)
        if rest.startswith(":="):
            scope[word] = self._value(rest.removeprefix(":="), scope)
            return ""
        return _printed(self._value(block.action, scope))

    def _each(self, action: str, scope: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The scope of each turn of a range; a mapping's are by key."""
        names, assigned, pipeline = action.rpartition(":=")
        many = self._value(pipeline, scope)
        pairs = sorted(many.items()) if isinstance(many, Mapping) else list(enumerate(many))
        variables = [name.strip() for name in names.split(",")] if assigned else []
        for pair in pairs:
            given = zip(reversed(variables), reversed(pair), strict=False)
            yield {**scope, ".": pair[1], **dict(given)}

    def _value(self, pipeline: str, scope: dict[str, Any]) -> Any:
        tokens = TOKEN.findall(pipeline)
        value = self._pipeline(tokens, scope)
        if tokens:
            raise TemplateError(f"{{{{ {pipeline} }}}}: what is {tokens[0]}?")
        return value

    def _pipeline(self, tokens: list[str], scope: dict[str, Any]) -> Any:
        """Takes its tokens off; each command gets what the one before gave as its last argument."""
        value = self._command(tokens, scope)
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            value = self._command(tokens, scope, value)
        return value

    def _command(self, tokens: list[str], scope: dict[str, Any], *piped: Any) -> Any:
        first = tokens[0] if tokens else ""
        if not re.fullmatch(r"[a-zA-Z]\w*|\$?\.Files\.\w+", first) or first in CONSTANTS:
            return self._operand(tokens, scope)
        tokens.pop(0)
        root, files, method = first.partition(".Files.")
        if files:
            function = getattr(scope[root or "."]["Files"], method.lower())
        elif first in self._functions:
            function = self._functions[first]
        else:
            raise TemplateError(f"there is no function {first} here")
        arguments = []
        while tokens and tokens[0] not in ("|", ")"):
            arguments.append(self._operand(tokens, scope))
        return function(*arguments, *piped)

    def _operand(self, tokens: list[str], scope: dict[str, Any]) -> Any:
        if not tokens:
            raise TemplateError("{{ }} has nothing in it")
        token = tokens.pop(0)
        if token == "(":
            value = self._pipeline(tokens, scope)
            if not tokens or tokens.pop(0) != ")":
                raise TemplateError("( without )")
            return value
        if token.startswith('"'):
            return json.loads(token)
        if token in CONSTANTS:
            return CONSTANTS[token]
        if token.isdecimal():
            return int(token)
        root, _, path = token.partition(".")
        value = scope[root or "."]
        for name in path.split(".") if path else ():
            try:
                value = value[name]
            except (KeyError, TypeError):
                raise TemplateError(f"{token}: there is no {name}") from None
        return value


def _fail(said: str) -> Never:
    raise TemplateError(said)


def _printed(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    """As %v does: from 1e+06 on with an exponent (strconv's ftoa.go, %e is used)."""
    if not value or 1e-4 <= abs(value) < 1e6:
        return _plain(value)
    digits, exponent = f"{Decimal(repr(value)).normalize():e}".split("e")
    return f"{digits}e{int(exponent):+03}"


def _plain(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


def _quoted(value: Any) -> str:
    return json.dumps(_printed(value), ensure_ascii=False)


def _to_yaml(value: Any) -> str:
    return yaml.safe_dump(_whole(value), width=2**16, allow_unicode=True).strip("\n")


def _whole(value: Any) -> Any:
    """With 1 for 1.0, as the JSON has it by way of which Helm writes YAML."""
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _indented(columns: int, text: str) -> str:
    return "\n" + "\n".join(" " * columns + line for line in text.split("\n"))


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


ALPHANUMERIC = string.ascii_letters + string.digits

KINDS = {"bool": bool, "float64": float, "string": str}

CONSTANTS = {"true": True, "false": False}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "append": lambda many, one: [*many, one],
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "base": posixpath.basename,
    "default": lambda instead, value: value or instead,
    "fail": _fail,
    "index": lambda value, key: value[key],
    "join": lambda between, many: between.join(many),
    "kindIs": lambda kind, value: type(value) is KINDS[kind],
    "lookup": lambda *_: {},  # as `helm template` does: there is no cluster
    "nindent": _indented,
    "not": lambda value: not value,
    "or": _or,
    "printf": lambda form, *values: form % values,
    "quote": _quoted,
    "randAlphaNum": lambda count: "".join(secrets.choice(ALPHANUMERIC) for _ in range(count)),
    "replace": lambda old, new, text: text.replace(old, new),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "toJson": lambda value: _plain(value) if isinstance(value, float) else json.dumps(value),
    "toYaml": _to_yaml,
    "trimSuffix": lambda end, text: text.removesuffix(end),
    "trunc": lambda length, text: text[:length],
    "uniq": lambda many: list(dict.fromkeys(many)),
    "upper": str.upper,
}
