"""Shares of what a node dials and sees, as promtool reads them off the pages of a daemon that tells
of no Service while it is well: it is one of sixty, and dials no endpoint of any."""

import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from deploy.alerts.alerts import ALERTS
from probe.core.edges import Kind
from probe.core.results import Outcome, Result
from probe.core.rounds import Config, Dial
from probe.core.schedule import leaders
from tests.core.facts import (
    CONNECTED,
    LOCAL_FAULT,
    REFUSED,
    Answer,
    Story,
    endpoint,
    service,
    slice_of,
)
from tests.deploy.grafana import questions
from tests.pages import exposing, page

PROMTOOL = shutil.which("promtool")
EVERY = 15
SCRAPES = 40
WINDOW = 300
FAULT = 1000.0 + SCRAPES * EVERY - WINDOW + 30
"""When it begins; a Story does so at 1000. All times are in seconds."""

SERVICES = [f"shop-{n}" for n in range(6)]
SIXTY = [f"node-{n}" for n in range(60)]
SOURCES = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not in $PATH"),
]

Pages = dict[str, list[str]]
"""The value of each series at each scrape."""


def refuses(dial: Dial, now: float) -> Outcome:
    return REFUSED if dial.edge.key.service == SERVICES[0] and now >= FAULT else CONNECTED


def lacks_sockets(dial: Dial, now: float) -> Outcome:
    """Now and then."""
    return LOCAL_FAULT if now >= FAULT and int(now) % 3 == 0 else CONNECTED


def bystander() -> str:
    """A node that dials no endpoint of any of them."""
    dialing = {n for name in SERVICES for n in leaders(SIXTY, f"demo-app/{name}", SOURCES)}
    return next(node for node in SIXTY if node not in dialing)


def played(answer: Answer) -> tuple[Story, Pages]:
    """What the bystander saw, and the pages that it told meanwhile."""
    daemons = [endpoint(f"10.0.9.{n}", node=name) for n, name in enumerate(SIXTY)]
    ours = service(name="edgeprobe", namespace="edgeprobe", ips=(), opted_out=True)
    own = slice_of(*daemons, service="edgeprobe", namespace="edgeprobe")
    services = [service(name=name, ips=(f"10.96.2.{n}",)) for n, name in enumerate(SERVICES)]
    slices = [slice_of(f"10.0.2.{n}", service=name) for n, name in enumerate(SERVICES)]
    story = Story(Config(bystander(), peers=("edgeprobe", "edgeprobe")), answer=answer)
    story.listed([ours, *services], [own, *slices])
    metrics, pages = exposing(story), Pages()
    for scrape in range(SCRAPES):
        story.run(EVERY, step=0.1)
        for line in page(story, metrics).splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                pages.setdefault(series, ["_"] * SCRAPES)[scrape] = value
    return story, pages


def lasting(values: list[str]) -> Iterator[str]:
    """As promtool writes them: what is gone is stale."""
    for before, value in pairwise(["_", *values]):
        yield "stale" if value == "_" != before else value


def holds(folder: Path, pages: Pages, *expressions: str) -> None:
    """promtool's word that each of these is true of one node as of the last scrape."""
    series = [{"series": k, "values": " ".join(lasting(v))} for k, v in pages.items()]
    wanted = [{"labels": "{}", "value": 1}]
    at = f"{(SCRAPES - 1) * EVERY}s"
    asked = [
        {"expr": f"count({each})", "eval_time": at, "exp_samples": wanted} for each in expressions
    ]
    test = {"interval": f"{EVERY}s", "input_series": series, "promql_expr_test": asked}
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump({"tests": [test]}))
    assert PROMTOOL is not None
    found = subprocess.run(
        [PROMTOOL, "test", "rules", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def panel(dashboard: str, title: str) -> str:
    """What it asks with nothing chosen, over the last WINDOW."""
    (found,) = (each for each in questions(dashboard) if each.panel == title)
    return f"({found.asked(WINDOW, WINDOW // 4)})"


def test_the_shares_of_a_node_are_of_all_that_it_dials_and_sees(tmp_path: Path) -> None:
    story, pages = played(refuses)
    lately = [dial for dial in story.dials if dial.at > story.now - WINDOW]
    failed = sum(dial.edge.key.service == SERVICES[0] for dial in lately) / len(lately)
    told = {series for series, values in pages.items() if values[-1] != "_"}
    rate = len(lately) / WINDOW

    assert {s for s in SERVICES for series in told if f'"{s}"' in series} == {SERVICES[0]}
    assert failed < 0.3
    holds(
        tmp_path,
        pages,
        f"{panel('nodes', 'Service ports that fail, by the node that sees it')} == 1 / 6",
        f"abs({panel('nodes', 'Dials that fail, by node')} - {failed}) < 0.05",
        f"abs({panel('overview', 'Dials failing')} - {failed}) < 0.05",
        f"abs({panel('prober', 'Dials')} / {rate} - 1) < 0.25",
    )


def test_a_node_that_lacks_sockets_now_and_then_is_told_by_all_of_its_dials(
    tmp_path: Path,
) -> None:
    story, pages = played(lacks_sockets)
    faults = story.world.dialed[Kind.SERVICE, Result.LOCAL_FAULT]
    own = panel("prober", "Dials that failed by the prober's own fault")
    (alert,) = (each for each in ALERTS if each.name == "EdgeprobeProbeFault")
    _, _, many = alert.expr.partition(" or ")

    assert faults > 20
    holds(tmp_path, pages, *(f"abs(({each}) / {faults} - 1) < 0.25" for each in (many, own)))
