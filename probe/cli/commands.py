"""`probe`: the table of commands."""

from typing import Annotated

import typer

from probe import __version__
from probe.cli.check import app as check
from probe.cli.demo import HELP as DEMO_HELP
from probe.cli.demo import command as demo
from probe.cli.run import HELP as RUN_HELP
from probe.cli.run import command as run

app = typer.Typer(
    name="probe",
    help="Dials every Service port and endpoint of a Kubernetes cluster and says why a connection "
    "failed and what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", help=RUN_HELP, short_help="The daemon: watches, dials, exports.")(run)
app.add_typer(check, name="check")
app.command("demo", help=DEMO_HELP, short_help="The incidents, on a cluster of its own.")(demo)


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
