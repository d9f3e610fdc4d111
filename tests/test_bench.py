"""What the benchmarks do with their figures, and how their command answers."""

import asyncio
import json
import shutil
import sys
from ipaddress import ip_address, ip_network

import pytest

from tests.bench.acceptor import Journal, accepting
from tests.bench.daemon import summed
from tests.bench.engines import GO, C, engine
from tests.bench.hollow import DEAD_NETWORK, plan
from tests.bench.report import Spread, Table, ratios
from tests.bench.responder import IP, SYN, TCP, answered, checksum
from tests.running import ROOT, environment


async def bench(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_names_its_benchmarks_and_refuses_others() -> None:
    (helped, text, _), (refused, _, error) = await asyncio.gather(
        bench("--help"), bench("dials", "nonsense")
    )
    assert (helped, refused) == (0, 2)
    for name in ("dials", "paced", "daemon", "latency", "exposition", "lint", "drains", "soak"):
        assert name in text
        assert name in error
    assert "no benchmark 'nonsense'" in error


def test_a_figure_tells_its_middle_and_its_spread() -> None:
    spread = Spread.of([4, 1, 3, 2, 100])
    assert spread.document() == {
        "median": 3,
        "min": 1,
        "p25": 2,
        "p75": 4,
        "p95": 100,
        "p99": 100,
        "max": 100,
        "samples": 5,
    }
    assert str(spread) == "3.00 (1.00-100)"
    assert str(Spread.of([1234.5])) == "1,234"


def test_a_quantile_is_a_value_that_was_measured() -> None:
    hundred = Spread.of(range(1, 101))
    assert [hundred.quantile(share) for share in (0, 0.25, 0.5, 0.99, 1)] == [1, 25, 50, 99, 100]


def test_a_figure_needs_a_measurement() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_ratios_compare_the_same_round() -> None:
    # A round in which everything took ten times as long says nothing about either.
    assert ratios([1, 20, 3], [2, 40, 6]).values == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="argument"):
        ratios([1, 2], [1])


def test_a_table_aligns_its_columns_and_says_what_is_missing() -> None:
    table = Table("title", {"cpu": "us CPU", "rate": "dials/s"})
    table.add("C", cpu=Spread.of([9, 10, 11]), rate=20_000.0)
    table.add("Go", "not on this machine")
    assert table.text().splitlines() == [
        "title",
        "                us CPU  dials/s",
        "  C   10.0 (9.00-11.0)   20,000",
        "  Go                             not on this machine",
    ]
    c, go = json.loads(json.dumps(table.document()))["rows"]
    assert c["figures"]["cpu"]["median"] == 10
    assert c["figures"]["rate"]["samples"] == 1
    assert go == {"of": "Go", "note": "not on this machine", "figures": {}}
    with pytest.raises(KeyError, match="wall"):
        table.add("C", wall=1.0)


def test_a_plan_has_the_edges_it_was_asked_for_each_with_its_own_address() -> None:
    services = plan(1000, dead_every=10)
    addresses = [address for one in services for address in (one.vip, *one.pods)]
    assert len(set(addresses)) == len(addresses) == 1000
    dead = [each for each in addresses if ip_address(each) in ip_network(DEAD_NETWORK)]
    assert len(dead) == 100
    assert all(ip_address(each).is_loopback for each in addresses)
    assert len({(one.namespace, one.name) for one in services}) == len(services)


def test_a_page_is_summed_by_the_whole_name() -> None:
    page = 'a_total{x="1"} 2\na_total{x="2"} 3.5\na_total_created{x="1"} 9\n# HELP a_total a\n'
    assert summed(page, "a_total") == 5.5


def test_an_acceptor_tells_the_times_between_dials_once() -> None:
    journal = Journal()
    for address, now in (("a", 1.0), ("b", 2.0), ("a", 11.0), ("a", 20.0)):
        journal.note(address, now)
    assert journal.told() == [10.0, 9.0]
    journal.note("b", 12.5)
    assert journal.told() == [10.5]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
async def test_the_compiled_yardsticks_dial() -> None:
    async with accepting() as acceptor:
        for name in (C, GO) if shutil.which("go") else (C,):
            async with engine(name) as found:
                run = await found.dial(acceptor.port, 100)
            assert (run.connected, run.dials) == (100, 100)


def test_a_responder_answers_syns_alone() -> None:
    syn = packet(flags=SYN)
    answer = answered(syn)
    assert answer is not None
    assert answer[12:16] == syn[16:20]
    assert answer[16:20] == syn[12:16]
    assert checksum(answer[:20]) == 0
    assert TCP.unpack_from(answer, 20)[:4] == (80, 4711, 1, 8)
    assert answered(packet(flags=0x10)) is None
    assert answered(packet(flags=SYN, host=99)) is None


def packet(*, flags: int, host: int = 10) -> bytes:
    tcp = TCP.pack(4711, 80, 7, 0, 5 << 4, flags, 65535, 0, 0)
    addresses = bytes([10, 213, 1, 1]), bytes([10, 213, 1, host])
    return IP.pack(0x45, 0, 40, 0, 0, 64, 6, 0, *addresses) + tcp
