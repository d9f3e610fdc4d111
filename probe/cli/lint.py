"""`probe lint`: what would fail in the cluster, found in its manifests."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from probe.cli import lint_formats
from probe.cli.failing import EMPTY, USAGE, fail, printing
from probe.lint import baseline, fixing
from probe.lint.documents import Document
from probe.lint.findings import Finding, Severity
from probe.lint.linting import Report, all_rules, lint_texts
from probe.lint.sources import STDIN, Unreadable, find


class LintOutput(StrEnum):
    """What findings are printed as."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on a finding fails the run."""

    ERROR = "error"
    WARNING = "warning"

    def fails(self, finding: Finding) -> bool:
        """Whether this finding does."""
        if self is FailOn.WARNING and finding.severity is Severity.WARNING:
            return True
        return finding.severity is Severity.ERROR


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Files, directories, globs, or - for standard input.",
        show_default=False,
    ),
]
Live = Annotated[bool, typer.Option("--live", help="Lint what is in the cluster, not files.")]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="With --live. Default: the context's."),
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="With --live: all namespaces.")
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="With --live. Default: $KUBECONFIG, ~/.kube/config."
    ),
]
ContextName = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="With --live: the kubeconfig's context."),
]
Form = Annotated[
    LintOutput, typer.Option("--output", "-o", help="text, json, sarif, junit or github.")
]
Severe = Annotated[FailOn, typer.Option("--fail-on", help="Exit with 1 from this severity on.")]
Known = Annotated[
    Path | None, typer.Option("--baseline", metavar="FILE", help="Leave out what this file has.")
]
WriteBaseline = Annotated[
    Path | None,
    typer.Option(
        "--write-baseline", metavar="FILE", help="Write what is found there, for --baseline."
    ),
]
Fix = Annotated[
    bool, typer.Option("--fix", help="Mend in place what can only mean one thing; show the diff.")
]
Rules = Annotated[bool, typer.Option("--rules", help="List the rules and exit.")]


def command(
    paths: Paths = None,
    live: Live = False,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    output: Form = LintOutput.TEXT,
    fail_on: Severe = FailOn.ERROR,
    known: Known = None,
    write_baseline: WriteBaseline = None,
    fix: Fix = False,
    rules: Rules = False,
) -> None:
    # What a manifest or a file name holds must not keep us from saying so.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if rules:
        _list_rules(output)
        return
    paths = paths or []
    if namespace == "":
        fail(EMPTY, USAGE)
    if namespace is not None and all_namespaces:
        fail("-n and -A exclude each other: give one of them", USAGE)
    cluster = any((namespace, all_namespaces, kubeconfig, context))
    _refuse_contradictions(paths, live=live, fix=fix, cluster=cluster)

    def lint() -> Report:
        if live:
            return _lint_live("" if all_namespaces else namespace, kubeconfig, context)
        return lint_texts(find(paths))

    began = datetime.now(UTC)
    report, mended, left_out = _linted(lint, known, fix=fix, output=output)
    if write_baseline is not None:
        left_out += _write_baseline(write_baseline, report)
        report = Report([], report.documents, report.sources)
    with printing():
        _print(report, output, fail_on, f"{mended}{_beside(left_out)}", began)
    if any(map(fail_on.fails, report.findings)):
        sys.exit(1)
    if not report.documents:
        # A pipe whose first half failed gives nothing, and must not pass for good.
        fail("nothing was checked: there is no manifest (apiVersion and kind) in it", USAGE)


def _refuse_contradictions(paths: list[str], *, live: bool, fix: bool, cluster: bool) -> None:
    if live and paths:
        fail("--live and paths exclude each other: give one of them", USAGE)
    if not live and not paths:
        fail("nothing to lint: give files, directories, - for standard input, or --live", USAGE)
    if fix and (live or STDIN in paths):
        fail("--fix rewrites files: it takes neither --live nor standard input", USAGE)
    if cluster and not live:
        fail("-n, -A, --kubeconfig and --context are for the cluster: give --live too", USAGE)
    if paths.count(STDIN) > 1:
        fail("standard input can be read once: give - once", USAGE)


def _lint_live(namespace: str | None, kubeconfig: str | None, context: str | None) -> Report:
    """Only here is anything imported that talks to a cluster: it takes half a second."""
    import asyncio

    from probe import __version__
    from probe.cli.explained import explained
    from probe.lint.linting import lint_objects
    from probe.lint.live import objects
    from probe.reflector import connect

    async def listed() -> tuple[list[Document], list[str]]:
        agent = f"edgeprobe/{__version__} (lint)"
        connection = await connect(
            kubeconfig, context, user_agent=agent, terminal=sys.stderr.isatty()
        )
        try:
            wanted = connection.namespace if namespace is None else namespace
            return await objects(connection, wanted)
        finally:
            await connection.close()

    with explained():
        documents, warnings = asyncio.run(listed())
    for warning in warnings:
        print(f"probe: {warning}; going on without", file=sys.stderr)
    return lint_objects(documents)


def _linted(
    lint: Callable[[], Report], known: Path | None, *, fix: bool, output: LintOutput
) -> tuple[Report, str, int]:
    """What is found beyond the baseline, what has been mended of it, how many it left out."""
    try:
        old = None if known is None else baseline.Baseline(known)
        report, left_out = _new(lint(), old)
        changes = fixing.fix(report.findings, report.sources) if fix else []
        if not changes:
            return report, "", left_out
        from probe.cli.lint_text import show_diff

        for source, text in changes:
            fixing.write(source, text)
            lines = fixing.diff(source, text).splitlines()
            with printing():
                show_diff(lines, stderr=output is not LintOutput.TEXT)
        report, left_out = _new(lint(), old)
        files = f"{len(changes)} file{'' if len(changes) == 1 else 's'}"
        return report, f" ({files} mended)", left_out
    except (Unreadable, baseline.BadBaseline, fixing.Unwritable) as wrong:
        fail(str(wrong), USAGE)


def _new(report: Report, old: baseline.Baseline | None) -> tuple[Report, int]:
    """The report but what is in the baseline, and how many that were."""
    if old is None:
        return report, 0
    findings = old.new(report.findings)
    left_out = len(report.findings) - len(findings)
    return Report(findings, report.documents, report.sources), left_out


def _write_baseline(path: Path, report: Report) -> int:
    try:
        return baseline.write(path, report.findings)
    except OSError as wrong:
        fail(f"{path}: {wrong.strerror}", USAGE)


def _beside(left_out: int) -> str:
    return f" ({left_out} in the baseline)" if left_out else ""


def _print(
    report: Report, output: LintOutput, fail_on: FailOn, beside: str, began: datetime
) -> None:
    match output:
        case LintOutput.TEXT:
            from probe.cli.lint_text import show

            show(report, beside)
        case LintOutput.JSON:
            print(json.dumps(lint_formats.document(report), indent=2))
        case LintOutput.SARIF:
            print(json.dumps(lint_formats.sarif(report), indent=2))
        case LintOutput.JUNIT:
            print(lint_formats.junit(report, fail_on.fails, began))
        case LintOutput.GITHUB:
            for finding in report.findings:
                print(lint_formats.github(finding))


def _list_rules(output: LintOutput) -> None:
    with printing():
        match output:
            case LintOutput.TEXT:
                from probe.cli.lint_text import rules_table

                rules_table(all_rules())
            case LintOutput.JSON:
                print(json.dumps(lint_formats.rules(all_rules()), indent=2))
            case _:
                fail("--rules prints text or json: choose one of them with -o", USAGE)
