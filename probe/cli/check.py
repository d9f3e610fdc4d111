"""`probe check svc NAME`, `probe check all`, `probe check addr HOST:PORT...`: asks once."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from probe import __version__
from probe.check import Selection, Unresolvable, check_addresses, check_services, keys, resolve
from probe.cli.failing import COULD_NOT_TELL, USAGE, explained, fail, printing
from probe.cli.tables import addresses_table, service_table
from probe.core import report
from probe.core.results import FAILURES, Outcome, Result
from probe.core.targets import InvalidTarget, Target, parse
from probe.core.verdicts import Verdict
from probe.reflector import connect
from probe.settings import Settings, load


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


class _Group(TyperGroup):
    """Takes `svc/NAME` and `service NAME` as kubectl does."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        kind, slash, name = args[0].partition("/")
        args = [kind, name, *args[1:]] if slash else args
        if args[0] in ("service", "services", "svcs"):
            args = ["svc", *args[1:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    help="Dials once and says what is wrong. Exit code: 0 healthy, 1 a failure was found, 2 wrong "
    "usage or configuration, 3 could not tell.",
    no_args_is_help=True,
    cls=_Group,
    rich_markup_mode=None,
)

Format = Annotated[Output, typer.Option("--output", "-o", help="table or json.")]
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


@app.command("svc", help="Dials every port and endpoint of one Service (also: svc/NAME).")
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
        documents, warnings = asyncio.run(_services(settings, namespace, name))
    _warn(warnings)
    (document,) = documents
    with printing():
        if output is Output.JSON:
            print(json.dumps(document, indent=2))
        else:
            service_table(document)
    sys.exit(report.exit_code(Verdict(document["verdict"])))


@app.command("all", help="Dials every Service of a namespace, or of all with -A.")
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
        documents, warnings = asyncio.run(_services(settings, wanted, None))
    _warn(warnings)
    verdict = report.worst(Verdict(d["verdict"]) for d in documents)
    if not documents:
        print("probe: no Services found", file=sys.stderr)
    with printing():
        if output is Output.JSON:
            print(json.dumps({"services": documents, "verdict": str(verdict)}, indent=2))
        else:
            for document in documents:
                service_table(document)
    sys.exit(report.exit_code(verdict))


@app.command("addr", help="Dials addresses, as a person may: loopback too, but never 0.")
def addr(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="HOST:PORT", help="Or [IPV6]:PORT; any number of them."),
    ],
    output: Format = Output.TABLE,
    seconds: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.1,
            max=60,
            help="Seconds until a dial is a timeout.",
        ),
    ] = 4.0,
) -> None:
    targets, faults = _judged(addresses)
    if faults:
        for _, sentence in faults:
            print(f"probe: {sentence}", file=sys.stderr)
        with printing():
            if output is Output.JSON:
                documents = [_invalid(text, sentence) for text, sentence in faults]
                print(json.dumps({"results": documents}, indent=2))
        sys.exit(USAGE)
    outcomes = asyncio.run(check_addresses(targets, seconds))
    found = list(zip(targets, outcomes, strict=True))
    with printing():
        if output is Output.JSON:
            print(json.dumps({"results": [report.address(t, o) for t, o in found]}, indent=2))
        else:
            addresses_table(found)
    sys.exit(_addresses_code(outcomes))


def _settings(
    kubeconfig: str | None, context: str | None, seconds: float | None, config: str | None
) -> Settings:
    flags = {"kubeconfig": kubeconfig, "context": context, "timeout": seconds}
    given = {name: value for name, value in flags.items() if value is not None}
    return load({"vantage": "local", **given}, config)


async def _services(
    settings: Settings, namespace: str | None, name: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    connection = await connect(
        settings.kubeconfig, settings.context, user_agent=f"edgeprobe/{__version__} (check)"
    )
    try:
        where = connection.namespace if namespace is None else namespace
        world, warnings = await check_services(connection, settings, Selection(where, name))
    finally:
        await connection.close()
    now = asyncio.get_running_loop().time()
    epoch = datetime.now(UTC) - timedelta(seconds=now)
    return [
        report.service(world, key, now, lambda at: epoch + timedelta(seconds=at), settings.vantage)
        for key in keys(world)
    ], warnings


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"probe: {warning}; going on without it", file=sys.stderr)


def _judged(texts: list[str]) -> tuple[list[Target], list[tuple[str, str]]]:
    """The numeric targets, and a sentence for each text that cannot be dialed."""
    targets: list[Target] = []
    faults: list[tuple[str, str]] = []
    for text in texts:
        try:
            targets += asyncio.run(resolve(parse(text)))
        except InvalidTarget as wrong:
            faults.append((text, str(wrong)))
        except Unresolvable as wrong:
            faults.append((text, f"{text!r}: {wrong}"))
    return targets, faults


def _invalid(text: str, sentence: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 20 else None
    target = Target(host or text, 0)
    outcome = Outcome(Result.INVALID_TARGET, detail=sentence)
    return {**report.address(target, outcome), "port": number}


def _addresses_code(outcomes: list[Outcome]) -> int:
    if any(outcome.result in FAILURES for outcome in outcomes):
        return 1
    told = all(outcome.result is Result.CONNECTED for outcome in outcomes)
    return 0 if told else COULD_NOT_TELL
