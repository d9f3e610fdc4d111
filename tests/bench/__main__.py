"""`python -m tests.bench [NAME...]`: measures, prints tables, writes one JSON document."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.bench import daemon, dials, drains, exposition, latency, linting, namespace, paced, soak
from tests.bench.options import Options
from tests.bench.report import Missing, Table, machine

Bench = Callable[[Options], AsyncIterator[Table]]

BENCHES: dict[str, Bench] = {
    "dials": dials.bench,
    "paced": paced.bench,
    "daemon": daemon.bench,
    "latency": latency.bench,
    "exposition": exposition.bench,
    "lint": linting.bench,
    "drains": drains.bench,
    "soak": soak.bench,
}

ON_DEMAND = {"drains", "soak"}
"""Run only when named: they take too long to come along."""

APART = {"latency", "soak"}
"""They want root in a network namespace of their own."""

Document = dict[str, Any]


def _arguments(given: list[str] | None = None) -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures what probe costs, beside yardsticks of the same run.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"any of {', '.join(BENCHES)}; without one, all but {', '.join(ON_DEMAND)}",
    )
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where figures go")
    for name, text in (
        ("rounds", "rounds of dials, exposition and lint"),
        ("seconds", "length of a window of paced and daemon"),
        ("minutes", "length of soak"),
    ):
        value = getattr(usual, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{text} ({value})")
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args(given)
    if unknown := [name for name in found.names if name not in BENCHES]:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(BENCHES)}")
    return found


async def _run(names: list[str], options: Options) -> dict[str, list[Document]]:
    found = {}
    for name in names:
        if name in APART and not options.apart and namespace.possible():
            found[name] = await namespace.apart(name, options)
        else:
            found[name] = await _measure(BENCHES[name], options)
    return found


async def _measure(bench: Bench, options: Options) -> list[Document]:
    tables = []
    try:
        async for table in bench(options):
            print(table.text(), end="\n\n", flush=True)
            tables.append(table.document())
    except Missing as why:
        print(f"{why}\n", flush=True)
        tables.append({"missing": str(why)})
    return tables


def main() -> None:
    arguments = _arguments()
    options = Options(
        *(arguments.rounds, arguments.seconds, arguments.minutes), apart=arguments.apart
    )
    names = arguments.names or [name for name in BENCHES if name not in ON_DEMAND]
    benches = asyncio.run(_run(names, options))
    document = {"machine": machine(), "benches": benches}
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
