"""`probe check svc NAME` and `probe check all`: dials Services once and says what is wrong."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from probe import __version__
from probe.check import PATIENCE, Selection
from probe.cli.asking import Answer, Question, ask
from probe.cli.cluster_options import (
    Config,
    ContextName,
    Kubeconfig,
    Namespace,
    Vantage,
    check_vantage,
    settings_of,
)
from probe.cli.durations import duration
from probe.cli.explained import explained
from probe.cli.failing import USAGE, fail, printing
from probe.cli.output import CheckFormat, CheckOutput
from probe.cli.progress import Progress
from probe.cli.showing import Showing
from probe.cli.watching import watch
from probe.core import report
from probe.reflector import connect
from probe.settings import Settings

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="DURATION",
        help="Show the daemons' incidents and changes of so long, such as 1h, beside the answer.",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Check again every 5 s until Ctrl-C.")]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Until a dial is a timeout, such as 2s, or a number of seconds. Default: 4s.",
    ),
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A check as it was typed. `namespace` is None for the context's, "" for all."""

    namespace: str | None
    name: str | None
    selector: str
    vantage: str | None
    since: str | None
    watch: bool
    output: CheckOutput


def svc(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The Service's name.")],
    namespace: Namespace = None,
    output: CheckFormat = CheckOutput.TABLE,
    vantage: Vantage = None,
    since: Since = None,
    watch: Watch = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    timeout: Timeout = None,
    config: Config = None,
) -> None:
    asked = _Asked(namespace, name, "", vantage, since, watch, output)
    _check(asked, {"kubeconfig": kubeconfig, "context": context}, timeout, config)


def every(
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")
    ] = False,
    selector: Annotated[
        str,
        typer.Option(
            "--selector", "-l", metavar="SELECTOR", help="Only Services with these labels."
        ),
    ] = "",
    output: CheckFormat = CheckOutput.TABLE,
    vantage: Vantage = None,
    since: Since = None,
    watch: Watch = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    timeout: Timeout = None,
    config: Config = None,
) -> None:
    if namespace is not None and all_namespaces:
        fail("-n and -A exclude each other: give one of them", USAGE)
    wanted = "" if all_namespaces else namespace
    asked = _Asked(wanted, None, selector, vantage, since, watch, output)
    _check(asked, {"kubeconfig": kubeconfig, "context": context}, timeout, config)


def _check(asked: _Asked, flags: dict[str, Any], timeout: str | None, config: str | None) -> None:
    if asked.watch and asked.output is CheckOutput.JUNIT:
        fail("--watch never ends, and junit is one document: choose another -o", USAGE)
    check_vantage(asked.vantage)
    since = None if asked.since is None else duration(asked.since, "--since")
    if timeout is not None:
        flags["timeout"] = duration(timeout, "--timeout")
    began = datetime.now(UTC)
    with explained():
        settings = settings_of(flags, config)
        answer, showing = asyncio.run(_answer(settings, asked, since))
    _warn(answer)
    if not answer.documents:
        showing.nothing()
    with printing():
        showing.once(answer, began)
    sys.exit(report.exit_code(answer.verdict))


async def _answer(settings: Settings, asked: _Asked, since: float | None) -> tuple[Answer, Showing]:
    """The answer, and how to show it; with --watch it never returns."""
    agent = f"edgeprobe/{__version__} (check)"
    connection = await connect(
        settings.kubeconfig,
        settings.context,
        user_agent=agent,
        limits=PATIENCE,
        terminal=sys.stderr.isatty(),
    )
    try:
        namespace = connection.namespace if asked.namespace is None else asked.namespace
        selection = Selection(namespace, asked.name, asked.selector)
        question = Question(selection, asked.vantage, since)
        showing = Showing(asked.output, selection)
        if asked.watch:
            await watch(connection, settings, question, showing)
        with Progress() as tell:
            return await ask(connection, settings, question, tell), showing
    finally:
        await connection.close()


def _warn(answer: Answer) -> None:
    for warning in answer.warnings:
        print(f"probe: {warning}; going on without", file=sys.stderr)
