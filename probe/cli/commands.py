"""`probe`: the table of commands. Each is imported when it is called.

Behind some of them stands half a second of imports and 50 MiB, which nobody pays who asks for
help or for another one.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from probe import __version__

Command = Callable[..., None]
"""A command as its file has it: a function with the arguments, options and their help."""

PLAIN: dict[str, Any] = {"rich_markup_mode": None}
"""Help and errors as plain text, for which nobody waits until rich is imported."""


class _Later(TyperCommand):
    """A command whose function here returns the one that it really is."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        assert self.callback is not None
        command: Command = self.callback()
        real = typer.Typer(add_completion=False, pretty_exceptions_enable=False, **PLAIN)
        real.command(self.name, help=self.help)(command)
        return typer.main.get_command(real).make_context(info_name, args, parent, **extra)


class _Check(TyperGroup):
    """Takes `svc/NAME` and `service NAME` as kubectl does."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        kind, slash, name = args[0].partition("/")
        args = [kind, name, *args[1:]] if slash else args
        if args[0] in ("service", "services", "svcs"):
            args = ["svc", *args[1:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="probe",
    help="Dials every Service port and endpoint of a Kubernetes cluster and says why a connection "
    "failed and what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    **PLAIN,
)


@app.command(
    cls=_Later,
    help="Watches the cluster, dials every Service port and endpoint, serves metrics and the API. "
    "Flags beat the environment, which beats the file of --config.",
    short_help="The daemon: watches, dials, exports.",
)
def run() -> Command:
    from probe.cli.run import command

    return command


@app.command(
    cls=_Later,
    help="Plays incidents on a cluster inside this process and shows what the daemon finds. "
    "Scenarios: tour (all, the default), port-mismatch, no-endpoints, blackhole, "
    "invalid-address, rolling-update. Exit code 1 if anything was missed.",
    short_help="The incidents, on a cluster of its own.",
)
def demo() -> Command:
    from probe.cli.demo import command

    return command


check = typer.Typer(
    help="Dials once and says what is wrong. Exit code: 0 healthy, 1 a failure was found, 2 wrong "
    "usage or configuration, 3 could not tell. What is so on purpose (scaled to zero, or not "
    "dialed by rule: UDP, ExternalName, opted out, MySQL) is 3 if asked for by its name, and does "
    "not count among others.",
    no_args_is_help=True,
    cls=_Check,
    **PLAIN,
)
app.add_typer(check, name="check")


@check.command(cls=_Later, help="Dials every port and endpoint of one Service (also: svc/NAME).")
def svc() -> Command:
    from probe.cli.check import svc

    return svc


@check.command("all", cls=_Later, help="Dials every Service of a namespace, or of all with -A.")
def every() -> Command:
    from probe.cli.check import every

    return every


@check.command(cls=_Later, help="Dials addresses, as a person may: loopback too, but never 0.")
def addr() -> Command:
    from probe.cli.addr import addr

    return addr


@app.command(
    cls=_Later,
    help="Watches one workload roll out, dials the Services in front of it closely, and says what "
    "callers met and which drain or probe would have spared them. WORKLOAD is deployment/NAME, "
    "statefulset/NAME or daemonset/NAME; -- COMMAND triggers the rollout. Exit code: 0 clean, 1 "
    "dials failed or the rollout did, 2 wrong usage or configuration, 3 no rollout was seen or "
    "nothing could be dialed.",
    short_help="A rollout, and what it does to callers.",
)
def watch() -> Command:
    from probe.cli.watch import command

    return command


@app.command(
    cls=_Later,
    help="Finds in manifests, or in the cluster, what would fail: ports that nothing listens on, "
    "selectors that match nothing, addresses nobody can dial. Exit code: 0 nothing, 1 found "
    "(--fail-on), 2 wrong usage or nothing to read.",
    short_help="The same incidents, before they are merged.",
)
def lint() -> Command:
    from probe.cli.lint import command

    return command


@app.command(
    cls=_Later,
    help="Says what the verdicts mean, what usually causes each, and what to do next.",
    short_help="What the verdicts mean.",
)
def explain() -> Command:
    from probe.cli.explain import command

    return command


def _version(asked: bool) -> None:
    if asked:
        print(f"probe {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `probe` itself."""
