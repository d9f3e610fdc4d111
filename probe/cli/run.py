"""`probe run`: the daemon."""

import asyncio
import inspect
import logging
import sys
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from probe import __version__, memory
from probe.cli.explained import explained
from probe.cli.failing import USAGE, fail
from probe.cli.logs import configure
from probe.cli.stopping import stop_event, until_stopped
from probe.daemon import Daemon
from probe.reflector import connect
from probe.server import CannotListen
from probe.settings import ENV_PREFIX, Settings, load, misspelt

log = logging.getLogger("probe.run")

METAVARS: dict[object, str] = {
    float: "NUMBER",
    int: "NUMBER",
    bool: "true|false",
    bool | None: "true|false",
}


def command(**given: Any) -> None:
    flags = {name: value for name, value in given.items() if value is not None}
    config = flags.pop("config", None)
    memory.begin()
    with explained():
        settings = load(flags, config)
        configure(settings.log_level, settings.log_format)
        for variable, near in misspelt():
            log.warning("%s is no setting: did you mean %s?", variable, near)
        try:
            asyncio.run(_run(settings))
        except CannotListen as failed:
            fail(f"--listen {settings.listen}: {failed.strerror}", USAGE)


async def _run(settings: Settings) -> None:
    stop = stop_event()
    agent = f"edgeprobe/{__version__} (node {settings.node})"
    # What a plugin says to a person may stand between lines of text, not between those of JSON.
    terminal = sys.stderr.isatty() and settings.log_format != "json"
    connecting = connect(settings.kubeconfig, settings.context, user_agent=agent, terminal=terminal)
    connection = await until_stopped(connecting, stop)
    if connection is None:
        return
    try:
        await Daemon(settings, connection).run(stop)
    finally:
        await connection.close()


def _options() -> list[inspect.Parameter]:
    """One flag for each setting, so that no knob can lack one."""
    found = [_option("config", "YAML file with settings.", f"{ENV_PREFIX}CONFIG", "", "FILE")]
    for name, field in Settings.model_fields.items():
        variable, default = f"{ENV_PREFIX}{name.upper()}", field.get_default()
        what = _metavar(name, field.annotation)
        found.append(_option(name, field.description or "", variable, _shown(default), what))
    return found


def _option(name: str, text: str, variable: str, default: str, what: str) -> inspect.Parameter:
    about = f"{text} [{variable}" + (f", default {default}]" if default else "]")
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(flag, help=about, metavar=what, show_default=False)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )


def _shown(default: object) -> str:
    """A default as one would write it."""
    match default:
        case None | ():
            return ""
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def _metavar(name: str, kind: object) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "A,B,..."
    return "FILE" if name == "kubeconfig" else METAVARS.get(kind, "TEXT")


command.__signature__ = inspect.Signature(_options())  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in _options()}
