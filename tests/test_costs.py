"""What the README says Prometheus keeps of a cluster, beside a page of a daemon there."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from probe.core.rounds import Config
from probe.core.schedule import TARGET_RATE
from tests.core.facts import NODE, TIMEOUT, Story, endpoint, service, slice_of
from tests.pages import named, page, read, value

README = Path(__file__).parents[1] / "README.md"
HEAD = "| nodes | Service ports | endpoints | series on a page |"
PEERS = ("edgeprobe", "edgeprobe")


def rows() -> list[list[int]]:
    """The table's numbers: nodes, ports, endpoints, series of a page, of all, those kept, those
    kept in an outage."""
    _, _, table = README.read_text().partition(HEAD)
    lines = [line.split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    return [[int(re.sub(r"\D", "", cell)) for cell in (*line[1:7], line[8])] for line in lines]


def cluster(nodes: int, ports: int, endpoints: int) -> Story:
    """One of so many daemons, where all is well and everything that is its to dial has been."""
    names = [NODE, *(f"node-{n}" for n in range(1, nodes))]
    pods = (
        endpoint(str(IPv4Address("10.128.0.0") + n), node=names[n % nodes])
        for n in range(endpoints)
    )
    daemons = [
        endpoint(str(IPv4Address("10.1.0.0") + n), node=name) for n, name in enumerate(names)
    ]
    services = [service(name=PEERS[1], namespace=PEERS[0], ips=(), opted_out=True)]
    slices = [slice_of(*daemons, service=PEERS[1], namespace=PEERS[0], number=9797)]
    for n, count in enumerate(shares(endpoints, ports)):
        services.append(service(name=f"s-{n}", ips=(str(IPv4Address("10.96.0.0") + n),)))
        slices.append(slice_of(*(next(pods) for _ in range(count)), service=f"s-{n}"))
    config = Config(NODE, peers=PEERS)
    return Story(config).listed(services, slices).run(1.2 * round_of_all(nodes) + 5, step=0.25)


def round_of_all(nodes: int) -> float:
    """Seconds in which a daemon dials everything that is its once."""
    return max(10.0, nodes / TARGET_RATE)


def shares(whole: int, parts: int) -> Iterator[int]:
    return (whole // parts + (n < whole % parts) for n in range(parts))


def tier(nodes: int) -> list[pytest.MarkDecorator]:
    """A World of a thousand daemons' cluster takes half a minute."""
    return [pytest.mark.nightly] if nodes >= 1000 else [pytest.mark.slow] if nodes >= 20 else []


def of_page(story: Story) -> tuple[float, float]:
    """The series of Service ports on it, and those of them that the PodMonitor keeps."""
    samples = read(page(story))
    found = value(samples, "series", state="exported")
    assert found is not None
    dropped = [each for each in named(samples, "edges") if ("kind", "service") in each[1]]
    return found, found - len(dropped)


@pytest.mark.parametrize("row", [pytest.param(row, marks=tier(row[0])) for row in rows()])
def test_the_readme_s_series_are_those_of_a_page(row: list[int]) -> None:
    nodes, ports, endpoints, on_page, in_all, kept, _ = row
    found, found_kept = of_page(cluster(nodes, ports, endpoints))

    assert found == pytest.approx(on_page, rel=0.02)
    assert nodes * found == pytest.approx(in_all, rel=0.05)
    assert nodes * found_kept == pytest.approx(kept, rel=0.05)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", [pytest.param(row, marks=tier(10 * row[0])) for row in rows()[:4]])
def test_in_an_outage_of_everything_they_are_as_many_as_the_readme_says(row: list[int]) -> None:
    """It takes ten times as long: half an hour of a thousand nodes, whose page is full."""
    nodes, ports, endpoints, *_, in_outage = row
    story = cluster(nodes, ports, endpoints)
    story.answer = lambda dial, now: TIMEOUT
    story.run(2 * round_of_all(nodes) + 30, step=0.5)
    _, kept = of_page(story)

    assert nodes * kept == pytest.approx(in_outage, rel=0.05)
