"""A network namespace of one's own for a benchmark: its firewall, its devices, gone at its end."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.engines import ROOT
from tests.bench.options import Options

TOOLS = ("unshare", "ip", "iptables")


def possible() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, TOOLS))


def why_not() -> str:
    """What stands in the way, to end a sentence with."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}" if missing else "needs root"


async def apart(name: str, options: Options) -> list[dict[str, Any]]:
    """Runs that benchmark in a process in a namespace; its tables are printed as they come."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.json"
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--net", sys.executable, "-m", "tests.bench", name, "--apart"),
            *("--json", str(path), "--rounds", str(options.rounds)),
            *("--seconds", str(options.seconds), "--minutes", str(options.minutes)),
            cwd=ROOT,
        )
        if await process.wait():
            raise RuntimeError(f"{name} failed in its namespace")
        found: list[dict[str, Any]] = json.loads(path.read_text())["benches"][name]
        return found


def run(*command: str) -> None:
    """A command of the namespace's set-up. Raises RuntimeError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
