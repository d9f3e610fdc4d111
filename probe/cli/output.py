"""In which form a command prints what it found."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


class CheckOutput(StrEnum):
    """What a check of Services can print beside."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JUNIT = "junit"


Format = Annotated[Output, typer.Option("--output", "-o", help="table or json.")]

CheckFormat = Annotated[
    CheckOutput,
    typer.Option("--output", "-o", help="table, wide (with every edge), json or junit."),
]
