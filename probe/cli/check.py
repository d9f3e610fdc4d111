"""`probe check svc NAME` and `probe check all`: dials Services once and says what is wrong."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from probe import __version__
from probe.check import PATIENCE, Selection, check_services, keys
from probe.cli.explained import explained
from probe.cli.failing import USAGE, fail, printing
from probe.cli.output import Format, Output
from probe.cli.tables import service_table
from probe.core import report
from probe.core.verdicts import Verdict
from probe.reflector import connect
from probe.settings import Settings, load

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace. Default: the context's."),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config.",
    ),
]
ContextName = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="Seconds until a dial is a timeout. Default: 4."
    ),
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="YAML file with settings.")
]


def svc(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The Service's name.")],
    namespace: Namespace = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    seconds: Seconds = None,
    config: Config = None,
) -> None:
    with explained():
        settings = _settings(kubeconfig, context, seconds, config)
        documents, warnings, _ = asyncio.run(_services(settings, namespace, name))
    _warn(warnings)
    (document,) = documents
    with printing():
        if output is Output.JSON:
            print(json.dumps(document, indent=2))
        else:
            service_table(document)
    sys.exit(report.exit_code(Verdict(document["verdict"])))


def every(
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")
    ] = False,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    seconds: Seconds = None,
    config: Config = None,
) -> None:
    if namespace is not None and all_namespaces:
        fail("-n and -A exclude each other: give one of them", USAGE)
    with explained():
        settings = _settings(kubeconfig, context, seconds, config)
        wanted = "" if all_namespaces else namespace
        documents, warnings, where = asyncio.run(_services(settings, wanted, None))
    _warn(warnings)
    verdict = report.worst(Verdict(d["verdict"]) for d in documents)
    if not documents:
        # Nothing was dialed, perhaps because of a typing error: that is no good news.
        verdict = Verdict.UNKNOWN
        print(f"probe: no Services in {where}", file=sys.stderr)
    with printing():
        if output is Output.JSON:
            print(json.dumps({"services": documents, "verdict": str(verdict)}, indent=2))
        else:
            for document in documents:
                service_table(document)
    sys.exit(report.exit_code(verdict))


def _settings(
    kubeconfig: str | None, context: str | None, seconds: float | None, config: str | None
) -> Settings:
    flags = {"kubeconfig": kubeconfig, "context": context, "timeout": seconds}
    given = {name: value for name, value in flags.items() if value is not None}
    return load({"vantage": "local", **given}, config)


async def _services(
    settings: Settings, namespace: str | None, name: str | None
) -> tuple[list[dict[str, Any]], list[str], str]:
    """The Services' documents, what to warn of, and where was looked, in words."""
    agent = f"edgeprobe/{__version__} (check)"
    connection = await connect(
        settings.kubeconfig, settings.context, user_agent=agent, limits=PATIENCE
    )
    try:
        where = connection.namespace if namespace is None else namespace
        world, warnings = await check_services(connection, settings, Selection(where, name))
    finally:
        await connection.close()
    now = asyncio.get_running_loop().time()
    epoch = datetime.now(UTC) - timedelta(seconds=now)
    documents = [
        report.service(world, key, now, lambda at: epoch + timedelta(seconds=at), settings.vantage)
        for key in keys(world)
    ]
    return documents, warnings, f"namespace {where}" if where else "any namespace"


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"probe: {warning}; going on without it", file=sys.stderr)
