"""When one edge of a Service port turns, its siblings are asked before anybody is accused."""

import pytest

from probe.core.edges import Kind
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    KEY,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    Story,
    answers,
    service,
    slice_of,
    standing,
)

PODS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
INTERVAL = 10.0


def failing(outcome: Outcome) -> dict[str, Outcome]:
    """Every pod fails so, and hence the ClusterIP."""
    names = (*PODS, VIP)
    return {f"at_{name.replace('.', '_')}": outcome for name in names}


@pytest.mark.parametrize("moment", range(10))
@pytest.mark.parametrize(
    ("outcome", "verdict"), [(REFUSED, "not_listening"), (TIMEOUT, "blackholed")]
)
def test_a_cause_that_takes_all_is_never_told_by_halves(
    outcome: Outcome, verdict: str, moment: int
) -> None:
    """Neither one bad endpoint nor a stale proxy, whatever was dialed first; both ways."""
    story = standing(slice_of(*PODS))
    story.run(40 + moment * INTERVAL / 10)
    story.answer = answers(**failing(outcome))
    story.run(30)
    story.answer = answers()
    story.run(30)

    assert story.verdicts() == ["healthy", verdict, "healthy"]


@pytest.mark.parametrize("moment", range(10))
@pytest.mark.parametrize("lasts", [2, 4, 6, 8, 10])
@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(REFUSED, "not_listening"), (REJECTED, "denied"), (TIMEOUT, "blackholed")],
)
def test_a_cause_that_ends_before_all_have_met_it_is_never_told_by_halves_either(
    outcome: Outcome, verdict: str, lasts: int, moment: int
) -> None:
    """Whose failure was never confirmed answers again beside others that are not asked yet."""
    story = standing(slice_of(*PODS))
    story.run(40 + moment * INTERVAL / 10)
    story.answer = answers(**failing(outcome))
    story.run(lasts)
    story.answer = answers()
    story.run(30)

    assert set(story.verdicts()) <= {"healthy", verdict}


def test_one_bad_endpoint_is_told_within_an_interval_though_its_siblings_are_asked() -> None:
    story = standing(slice_of(*PODS))
    story.run(40)
    story.answer = answers(at_10_0_0_2=REFUSED)
    story.run(INTERVAL + 4)

    assert story.verdict() == "endpoint_down"


def test_a_cluster_ip_that_fails_alone_is_told_within_an_interval() -> None:
    story = standing(slice_of(*PODS))
    story.run(40)
    story.answer = answers(**{f"at_{VIP.replace('.', '_')}": REFUSED})
    story.run(INTERVAL + 4)

    assert story.verdicts() == ["healthy", "proxy_stale"]


def test_a_flapping_edge_costs_its_siblings_no_more_than_a_second_round() -> None:
    def flapping(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.address == PODS[0] and int(now) % 6 < 3 else CONNECTED

    story = standing(slice_of(*PODS), answer=flapping)
    story.run(20)
    began = story.now
    story.run(200)

    calm = [d for d in story.dials_since(began, Kind.ENDPOINT) if d.edge.address != PODS[0]]
    assert len(calm) <= 2.2 * 2 * 200 / INTERVAL


@pytest.mark.parametrize("moment", range(0, 60, 3))
@pytest.mark.parametrize(("interval", "asked"), [(INTERVAL, False), (30.0, True)])
def test_who_fails_last_does_not_keep_back_for_a_round_what_was_confirmed_before(
    interval: float, *, asked: bool, moment: int
) -> None:
    """In the first round siblings are asked over several seconds: when the last of them fails, the
    first is down already, and may be well again. It is dialed once more, not a round later."""
    story = Story(Config(NODE, interval=interval)).listed([service()], [slice_of(*PODS)])
    story.run(1 + moment / 10)
    story.answer = answers(**failing(REFUSED))
    if asked:
        story.world.ask(KEY[:2], story.now)
    story.run(7)

    assert story.verdict() == "not_listening"


def test_a_syn_that_is_lost_as_an_outage_ends_is_no_loss() -> None:
    late = Outcome(CONNECTED.result, 0.0004, syn_retransmits=1)
    story: Story = standing(slice_of(*PODS))
    story.run(40)
    story.answer = answers(**failing(TIMEOUT))
    story.run(30)
    story.answer = lambda dial, now: late
    story.run(1)
    while story.verdict() == "blackholed":
        story.run(0.2)
    story.answer = answers()
    story.run(30)

    assert "lossy" not in story.verdicts()
