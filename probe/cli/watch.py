"""`probe watch deployment/NAME`: a rollout, what callers meet meanwhile, and the report."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from probe import __version__
from probe.check import PATIENCE
from probe.cli.asking import HERE, NODES
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
from probe.cli.progress import Progress
from probe.cli.stopping import until_stopped
from probe.cli.watch_result import Result
from probe.cli.watch_view import Lines, Live, heard
from probe.core.course import Course
from probe.reach import reach_pods
from probe.reflector import Connection, connect
from probe.settings import Settings
from probe.watch.command import CannotRun
from probe.watch.here import Here
from probe.watch.nodes import Nodes
from probe.watch.session import Order, Scene, Witness, watch
from probe.watch.subject import BadName, Subject, find, parse

PACE = {"interval": 1.0, "timeout": 2.0}
"""Seconds between two dials of an edge before the rollout begins, and until a dial is a timeout,
unless they are set: one workload's few Services cost nothing, and a failure is confirmed within the
time that the watch waits for it. While a dial waits for its answer the same ClusterIP is not dialed
again; two seconds leave it one SYN more (at 1 s)."""


class WatchOutput(StrEnum):
    """What a watch can print at its end."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


def command(
    workload: Annotated[
        str, typer.Argument(metavar="WORKLOAD", help="Such as deployment/web, sts/db or ds/agent.")
    ],
    argv: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="Triggers the rollout, once all is watched."),
    ] = None,
    namespace: Namespace = None,
    output: Annotated[
        WatchOutput, typer.Option("--output", "-o", help="table, json or junit.")
    ] = WatchOutput.TABLE,
    vantage: Vantage = None,
    max_failed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Failed dials that are no reason for code 1.")
    ] = 0,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="For how long to wait until a rollout is seen, such as 90s or 5m.",
        ),
    ] = "10m",
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Between dials from here while nothing rolls. Default: 1. A rollout's Services "
            "are dialed 20 times a second.",
        ),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    config: Config = None,
) -> None:
    check_vantage(vantage)
    flags = {"kubeconfig": kubeconfig, "context": context, "interval": interval}
    began = datetime.now(UTC)
    with explained():
        try:
            kind, name = parse(workload)
            order = Order(tuple(argv or ()), duration(timeout, "--timeout"))
            asked = _Asked(kind, namespace, name, vantage, order)
            view = _view(output)
            result = asyncio.run(_watch(_settings(flags, config), asked, view))
        except (BadName, CannotRun) as wrong:
            fail(str(wrong), USAGE)
    with printing():
        match output:
            case WatchOutput.JSON:
                result.json()
            case WatchOutput.JUNIT:
                result.junit(began, max_failed)
            case WatchOutput.TABLE:
                result.table(max_failed)
    sys.exit(result.exit_code(max_failed))


def _settings(flags: dict[str, Any], config: str | None) -> Settings:
    settings = settings_of(flags, config)
    unset = {name: value for name, value in PACE.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=unset)


def _view(output: WatchOutput) -> Lines | Live:
    if output is not WatchOutput.TABLE:
        return Lines(sys.stderr)
    return Live() if sys.stdout.isatty() else Lines(sys.stdout)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A watch as it was typed; `namespace` is None for the context's."""

    kind: str
    namespace: str | None
    name: str
    vantage: str | None
    order: Order


async def _watch(settings: Settings, asked: _Asked, view: Lines | Live) -> Result:
    """What was seen, to the end or until somebody stopped it."""
    agent = f"edgeprobe/{__version__} (watch)"
    connection = await connect(
        settings.kubeconfig,
        settings.context,
        user_agent=agent,
        limits=PATIENCE,
        terminal=sys.stderr.isatty(),
    )
    subject = Subject(asked.kind, asked.namespace or connection.namespace, asked.name)
    result = Result(subject)
    try:
        await until_stopped(_fill(result, connection, settings, asked, view))
    finally:
        await connection.close()
    return result


async def _fill(
    result: Result, connection: Connection, settings: Settings, asked: _Asked, view: Lines | Live
) -> None:
    """Watches; what is seen is in the result at any time."""
    with Progress() as tell:
        tell(f"asking the API server at {connection.server}")
        found, services = await find(connection, result.subject)
        vantage = asked.vantage
        if vantage is None:
            vantage = HERE if await reach_pods(connection, settings) else NODES
    witness: Witness
    if vantage == HERE:
        witness = Here(connection, settings, result.subject, services)
        source = "dialing from here"
    else:
        node = None if vantage == NODES else vantage
        witness = Nodes(connection, settings, result.subject, services, node)
        source = "asking the daemons on the nodes" if node is None else f"asking node {node}"
    course = Course(witness.after_failures, progress=found)
    result.scene = Scene(result.subject, services, source, course)
    with view, heard(view):
        ended = await watch(connection, result.scene, witness, view, asked.order)
    result.ending, result.command_code = ended
