"""How a soak plans, what it counts as false, and a minute of one."""

import asyncio
import sys
from collections.abc import Callable
from itertools import islice

import pytest

from tests.running import ROOT, environment
from tests.soak import plan, report
from tests.soak.faults import FAULTS
from tests.soak.operations import OPERATIONS
from tests.soak.shop import SHAPES
from tests.soak.soak import Options, soak
from tests.soak.turns import Excuse, Port, Turn, Turns

WEB = Port("node1", "shop", "web", 80)


def turn(at: float, verdict: str, *, port: Port = WEB, alarming: bool = True) -> Turn:
    return Turn(at, port, verdict, "healthy", "as said", alarming)


def excuse(*verdicts: str, **more: object) -> Excuse:
    return Excuse("a fault", frozenset(verdicts), 10.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("deal", [lambda c: plan.operations(c, ("a", "b")), plan.faults])
def test_a_seed_always_plans_the_same(deal: Callable[..., object]) -> None:
    def dealt(seed: int) -> list[tuple[str, str]]:
        cards: object = deal(plan.chance(seed, "life"))
        return [(card.name, target) for card, target in islice(cards, 100)]  # type: ignore[call-overload]

    assert dealt(1) == dealt(1) != dealt(2)


def test_every_operation_and_fault_comes_in_a_round() -> None:
    chance = plan.chance(1, "life")
    deck = sum(operation.share for operation in OPERATIONS)
    operations = list(islice(plan.operations(chance, ("a",)), deck))
    assert {each.name for each, _ in operations} == {each.name for each in OPERATIONS}
    faults = list(islice(plan.faults(chance), len(FAULTS)))
    assert {each.name for each, _ in faults} == {each.name for each in FAULTS}
    assert {target for _, target in operations} <= {*SHAPES, "a", ""}


def test_what_nothing_explains_is_one_false_incident_until_the_port_is_calm() -> None:
    turns = Turns()
    first, second, calm = (
        turn(1, "endpoint_down"),
        turn(2, "blackholed"),
        turn(3, "healthy", alarming=False),
    )
    opened = turns.take(first, ["1.0- rollout web"])
    assert opened is not None
    assert turns.take(second, []) is None
    assert list(turns.alarms()) == [second]
    assert turns.take(calm, []) is None
    assert (opened.turns, opened.around, opened.ended) == (
        [first, second],
        ["1.0- rollout web"],
        3,
    )
    assert turns.false == [opened]
    assert list(turns.alarms()) == []


@pytest.mark.parametrize(
    ("given", "explained"),
    [
        (excuse("blackholed"), True),
        (excuse("endpoint_down"), False),
        (excuse("blackholed", services=frozenset({"web"})), True),
        (excuse("blackholed", services=frozenset({"api"})), False),
        (excuse("blackholed", nodes=frozenset({"node2"})), False),
        (excuse("blackholed", until=11.0), False),
        (excuse("blackholed", until=12.0), True),
    ],
)
def test_an_excuse_is_for_some_verdicts_services_nodes_and_a_time(
    given: Excuse, explained: bool
) -> None:
    turns = Turns(excuses=[given])
    assert (turns.take(turn(12.0, "blackholed"), []) is None) is explained


def test_an_outage_that_somebody_else_has_seen_too_is_none_that_is_false() -> None:
    turns = Turns()
    opened = turns.take(turn(1, "no_endpoints"), [])
    assert opened is not None
    turns.believe(opened)
    turns.take(turn(2, "healthy", alarming=False), [])

    assert (turns.false, turns.real, opened.ended) == ([], [opened], 2)


def test_a_new_daemon_begins_anew() -> None:
    turns = Turns()
    opened = turns.take(turn(1, "blackholed"), [])
    other = turn(2, "blackholed", port=WEB._replace(node="node2"))
    turns.take(other, [])
    turns.forget("node1")
    assert list(turns.alarms()) == [other]
    assert opened is not None
    assert opened.ended == 1


async def test_the_command_explains_itself() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak", "--help"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert "--minutes" in out.decode()


QUICK = 18
"""A seed whose first faults are found at once, with a node drain and an API server restart."""


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(minutes=1, seed=QUICK, interval=2), marks=pytest.mark.real),
        pytest.param(
            Options(minutes=1, seed=QUICK, interval=2, mode="nftables"), marks=pytest.mark.real
        ),
        Options(minutes=1, seed=QUICK, interval=2, embedded=True),
    ],
    ids=["iptables", "nftables", "embedded"],
)
async def test_a_minute_of_life_and_faults_makes_no_false_incident(options: Options) -> None:
    result = await soak(options, print)
    assert result.passed, report.text(result)
    assert result.injections
