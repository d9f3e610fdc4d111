"""`probe check addr HOST:PORT...`: dials addresses that a person named, once.

A person waits for it: what the first dial has no use for is imported after the last.
"""

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer

from probe.addresses import Unresolvable, check_addresses, resolve
from probe.cli.durations import duration
from probe.cli.failing import COULD_NOT_TELL, USAGE, fail, printing
from probe.cli.output import Format, Output
from probe.core.results import FAILURES, Outcome, Result
from probe.core.targets import InvalidTarget, Target, masked, parse


def addr(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="HOST:PORT", help="Or [IPV6]:PORT; any number of them."),
    ],
    output: Format = Output.TABLE,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Until a dial is a timeout, such as 2s, or a number of seconds: 0.1 to 60.",
        ),
    ] = "4s",
) -> None:
    seconds = duration(timeout, "--timeout")
    if not 0.1 <= seconds <= 60:
        fail(f"--timeout {timeout!r} is not in the range of 0.1 to 60 seconds", USAGE)
    judged = _judged(addresses)
    if any(isinstance(found, _Fault) for found in judged):
        _refuse(judged, output)
    targets = [target for target in judged if isinstance(target, Target)]
    outcomes = check_addresses(targets, seconds)
    found = list(zip(targets, outcomes, strict=True))
    with printing():
        if output is Output.JSON:
            print(json.dumps({"results": [_line(t, o) for t, o in found]}, indent=2))
        else:
            from probe.cli.tables import addresses_table

            addresses_table(found)
    sys.exit(_addresses_code(outcomes))


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
            found.append(_Fault(masked(text), str(wrong)))
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
    return {**_line(Target(host or text, 0), outcome), "port": number}


def _spared(target: Target) -> dict[str, Any]:
    """The line of a target that could have been dialed."""
    outcome = Outcome(Result.INVALID_TARGET, detail="not dialed: other arguments are invalid")
    return {**_line(target, outcome), "result": None}


def _line(target: Target, outcome: Outcome) -> dict[str, Any]:
    from probe.core import report

    return report.address(target, outcome)


def _addresses_code(outcomes: list[Outcome]) -> int:
    if any(outcome.result in FAILURES for outcome in outcomes):
        return 1
    told = all(outcome.result is Result.CONNECTED for outcome in outcomes)
    return 0 if told else COULD_NOT_TELL
