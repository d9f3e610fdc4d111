"""`python -m tests.soak`: lives with the daemons for a while, and counts what they got wrong.

Exit code 1 if anything was told that nothing explains, or not told that was injected.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.soak import report
from tests.soak.soak import Options, soak


def _arguments() -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Rollouts, drains and faults on real Kubernetes."
    )
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--cluster", choices=("real", "embedded"), default="real")
    parser.add_argument("--nodes", type=int, default=usual.nodes)
    parser.add_argument("--mode", choices=("iptables", "nftables"), default=usual.mode)
    parser.add_argument("--interval", type=float, default=usual.interval, help="of the daemons")
    parser.add_argument("--no-faults", action="store_true", help="operations only")
    parser.add_argument("--json", type=Path, help="where everything goes")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    options = Options(
        *(given.minutes, given.seed, given.nodes, given.mode, given.interval),
        faults=not given.no_faults,
        embedded=given.cluster == "embedded",
    )
    result = asyncio.run(soak(options, lambda line: print(line, file=sys.stderr, flush=True)))
    print(report.text(result))
    if given.json:
        given.json.write_text(json.dumps(report.document(result), indent=1) + "\n")
    sys.exit(0 if result.passed else 1)


if __name__ == "__main__":
    main()
