"""`python -m deploy.dashboards [RUNBOOKS]` writes the dashboards beside this file, for Grafana 11.

RUNBOOKS is as for deploy.alerts.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.alerts.__main__ import RUNBOOKS
from deploy.dashboards.nodes import nodes
from deploy.dashboards.overview import overview
from deploy.dashboards.prober import prober
from deploy.dashboards.rollouts import rollouts
from deploy.dashboards.service import service


def files(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Each file's text by its name."""
    base = runbooks.rstrip("/")
    documents = {
        "overview.json": overview(base),
        "nodes.json": nodes(),
        "service.json": service(base),
        "rollouts.json": rollouts(base),
        "prober.json": prober(base),
    }
    return {
        name: json.dumps(document, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, document in documents.items()
    }


def write(folder: Path, runbooks: str = RUNBOOKS) -> None:
    """Writes all of them there."""
    for name, text in files(runbooks).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parent, *sys.argv[1:2])
