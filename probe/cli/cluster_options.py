"""Options that the commands share which ask a cluster, and what their values mean."""

import sys
from typing import Annotated, Any

import typer

from probe.cli.failing import EMPTY, USAGE, fail
from probe.settings import Settings, load, misspelt


def _named(namespace: str | None) -> str | None:
    if namespace == "":
        fail(EMPTY, USAGE)
    return namespace


Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        callback=_named,
        help="Namespace. Default: the context's.",
    ),
]
Vantage = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="nodes|here|NODE",
        help="Who dials: the daemons on the nodes, this machine, or one node's daemon. "
        "Default: here if pods can be reached, else nodes.",
    ),
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
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="YAML file with settings.")
]


def settings_of(flags: dict[str, Any], config: str | None) -> Settings:
    """Dials from where it stands: a daemon's pod or node if it was told which, else a machine
    that is none of the cluster's. Flags that are None were not given. Raises SettingsError."""
    for variable, near in misspelt():
        print(f"probe: {variable} is no setting: did you mean {near}?", file=sys.stderr)
    given = {name: value for name, value in flags.items() if value is not None}
    settings = load(given, config)
    return settings if settings.node_name else settings.model_copy(update={"vantage": "local"})


def check_vantage(vantage: str | None) -> None:
    """Ends the command where --from is there and says nothing."""
    if vantage == "":
        fail("--from is empty: write nodes, here or a node's name", USAGE)
