"""`probe check svc NAME`, `probe check all`, `probe check addr HOST:PORT...`: asks once."""

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from probe import __version__
from probe.addresses import Unresolvable, check_addresses, resolve
from probe.check import PATIENCE, Selection, check_services, keys
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
        documents, warnings, _ = asyncio.run(_services(settings, namespace, name))
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
    judged = _judged(addresses)
    if any(isinstance(found, _Fault) for found in judged):
        _refuse(judged, output)
    targets = [target for target in judged if isinstance(target, Target)]
    outcomes = check_addresses(targets, seconds)
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


@dataclass(frozen=True, slots=True)
class _Fault:
    """An argument that cannot be dialed, and the sentence that says why."""

    text: str
    sentence: str


def _judged(texts: list[str]) -> list[Target | _Fault]:
    """What each argument comes to, in their order: its numeric targets, or its fault."""
    found: list[Target | _Fault] = []
    for text in texts:
        try:
            found += resolve(parse(text))
        except InvalidTarget as wrong:
            found.append(_Fault(text, str(wrong)))
        except Unresolvable as wrong:
            found.append(_Fault(text, f"{text!r}: {wrong}"))
    return found


def _refuse(judged: list[Target | _Fault], output: Output) -> NoReturn:
    """Says what is wrong with which arguments; nothing has been dialed."""
    for each in judged:
        if isinstance(each, _Fault):
            print(f"probe: {each.sentence}", file=sys.stderr)
    with printing():
        if output is Output.JSON:
            documents = [
                _invalid(each) if isinstance(each, _Fault) else _spared(each) for each in judged
            ]
            print(json.dumps({"results": documents}, indent=2))
    sys.exit(USAGE)


def _invalid(fault: _Fault) -> dict[str, Any]:
    """The fault's line: the host and port that the text names, as far as it does."""
    text = fault.text
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        # More colons than one leave open where a port begins.
        host, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 20 else None
    outcome = Outcome(Result.INVALID_TARGET, detail=fault.sentence)
    return {**report.address(Target(host or text, 0), outcome), "port": number}


def _spared(target: Target) -> dict[str, Any]:
    """The line of a target that could have been dialed."""
    outcome = Outcome(Result.INVALID_TARGET, detail="not dialed: other arguments are invalid")
    return {**report.address(target, outcome), "result": None}


def _addresses_code(outcomes: list[Outcome]) -> int:
    if any(outcome.result in FAILURES for outcome in outcomes):
        return 1
    told = all(outcome.result is Result.CONNECTED for outcome in outcomes)
    return 0 if told else COULD_NOT_TELL
