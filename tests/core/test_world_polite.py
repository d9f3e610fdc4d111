"""One failure accuses nobody, nor do faults of our own, and no empty Service is swept."""

from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.core.edges import EndpointSlice, Kind, Service
from probe.core.results import Outcome, Result, classify
from probe.core.rounds import RETRY_RATE, Config, Dial
from tests.core.facts import (
    CONNECTED,
    KEY,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
    VIP,
    Answer,
    Story,
    answers,
    endpoint,
    everything_connects,
    leaving,
    service,
    slice_of,
    standing,
    workload,
)

AT_VIP = f"at_{VIP.replace('.', '_')}"
EPERM = Outcome(
    Result.LOCAL_FAULT, errno=1, detail="our own fault: Operation not permitted (EPERM)"
)
"""What Cilium's socket layer says, on some versions, for a ClusterIP without backends."""

HOST_UNREACHABLE = Outcome(Result.UNREACHABLE, errno=113, detail="No route to host (EHOSTUNREACH)")
"""The same on others: at once, and without an ICMP message."""


def once(address: str, outcome: Outcome) -> Answer:
    """This address answers so once, and then connects like all others."""
    left = [outcome]

    def answer(dial: Dial, now: float) -> Outcome:
        return left.pop() if left and dial.edge.address == address else CONNECTED

    return answer


def counted(story: Story, result: Result) -> int:
    """The dials that the metrics count under this result."""
    return sum(
        n for _, book in story.world.books() for key, n in book.counts.items() if key[2] is result
    )


# Confirm before counting.


@pytest.mark.parametrize("address", ["10.0.0.1", VIP])
@pytest.mark.parametrize("outcome", [REFUSED, TIMEOUT, UNREACHABLE], ids=lambda o: o.result)
def test_one_failure_is_counted_dialed_again_soon_and_held_against_nobody(
    address: str, outcome: Outcome
) -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(40)
    story.answer = once(address, outcome)
    story.run(60)
    states = {t.level.name for _, book in story.world.books() for t in book.tracks.values()}

    assert counted(story, outcome.result) == 1
    assert (story.verdicts(), states) == (["healthy"], {"UP"})
    times = [d.at for d in story.dials if d.edge.address == address and d.at > 1030]
    assert min(b - a for a, b in pairwise(times)) < 2


@pytest.mark.parametrize(
    ("slices", "sentence"),
    [
        ([slice_of("10.0.0.2")], "1 of 1 endpoints answer, the ClusterIP answers"),
        (
            [slice_of(leaving("10.0.0.1"), "10.0.0.2")],
            "1 of 1 endpoints answer, the ClusterIP answers",
        ),
        (
            [slice_of("10.0.0.2"), slice_of(endpoint("10.0.0.1", pod="new"), "10.0.0.2")],
            "2 of 2 endpoints answer, the ClusterIP answers",
        ),
    ],
    ids=["removed", "terminating", "replaced at the same address"],
)
def test_35_an_endpoint_that_goes_between_its_failure_and_the_second_dial_is_not_accused(
    slices: list[EndpointSlice], sentence: str
) -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(40)
    story.answer = answers(at_10_0_0_1=REFUSED)
    while not counted(story, Result.REFUSED):
        story.run(0.1)
    for held in slices:
        story.store(held)
    gone = story.now
    story.answer = lambda dial, now: (
        REFUSED if dial.edge.address == "10.0.0.1" and len(slices) == 1 else CONNECTED
    )
    story.run(60)

    assert (story.verdicts(), story.summary()) == (["healthy"], sentence)
    assert gone < 1052


def test_32_a_first_syn_that_conntrack_swallowed_is_healed_by_the_second_dial() -> None:
    story = Story(answer=once(VIP, TIMEOUT))
    story.listed([service()], [slice_of("10.0.0.1")])
    story.run(20)

    assert story.verdicts() == ["healthy"]
    assert counted(story, Result.TIMEOUT) == 1


def test_35_failures_that_the_slices_were_not_read_again_after_are_not_confirmed() -> None:
    """An endpoint may have gone while we do not hear of it, long before that is called stale."""
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(40)
    away = story.now
    story.answer = answers(at_10_0_0_1=REFUSED)
    for _ in range(100):
        story.world.stale_seconds = story.now - away
        story.run(1)
    assert 8 <= counted(story, Result.REFUSED) <= 13  # in its rounds: haste would tell no more
    assert story.verdicts() == ["healthy"]

    story.world.stale_seconds = None
    story.store(slice_of("10.0.0.2"))
    story.run(60)
    assert story.verdicts() == ["healthy"]


def test_35_what_the_slices_still_hold_when_they_are_read_again_is_accused() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(40)
    away = story.now
    story.answer = answers(at_10_0_0_1=REFUSED)
    for _ in range(60):
        story.world.stale_seconds = story.now - away
        story.run(1)
    story.world.stale_seconds = None
    story.run(15)

    assert story.verdicts() == ["healthy", "endpoint_down"]


# Our own faults.


def test_34_a_local_fault_is_counted_and_made_again_within_two_seconds() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(40)
    story.answer = once("10.0.0.1", LOCAL_FAULT)
    story.run(30)
    times = [d.at for d in story.dials if d.edge.address == "10.0.0.1" and d.at > 1030]

    assert counted(story, Result.LOCAL_FAULT) == 1
    assert story.verdicts() == ["healthy"]
    assert min(b - a for a, b in pairwise(times)) < 2


@pytest.mark.slow
def test_34_many_local_faults_are_not_answered_by_a_storm_and_all_recover_within_an_interval() -> (
    None
):
    """5000 edges in an interval of 10 s: some 500 dials/s, with faults only a few more."""
    pods = [f"10.{i // 62500}.{i // 250 % 250}.{i % 250 + 1}" for i in range(5000)]
    story = Story(Config(NODE, dials_per_second=0), answer=lambda dial, now: LOCAL_FAULT)
    story.listed([service(ips=())], [slice_of(*pods)])
    story.run(20, step=0.1)
    began = len(story.dials)
    story.run(20, step=0.1)
    rate = (len(story.dials) - began) / 20
    assert rate < 500 * 1.2 + RETRY_RATE

    freed, story.answer = story.now, everything_connects
    story.run(12, step=0.1)
    assert len({d.edge for d in story.dials_since(freed)}) == 5000
    assert story.verdict() == "healthy"


# A proxy in the socket layer.


@pytest.mark.parametrize("outcome", [EPERM, HOST_UNREACHABLE], ids=["EPERM", "EHOSTUNREACH"])
def test_7_a_connect_that_fails_at_once_without_usable_endpoints_is_the_proxys_word(
    outcome: Outcome,
) -> None:
    story = standing(
        slice_of(endpoint("10.0.0.1", ready=False)), answer=answers(**{AT_VIP: outcome})
    )
    story.run(120)

    assert story.verdicts() == ["no_endpoints"]
    assert counted(story, Result.LOCAL_FAULT) == 0
    assert 10 <= len(story.dials) <= 14  # in its rounds: it is no fault to be tried again soon


def test_7_a_cluster_ip_that_loses_its_endpoints_and_then_says_eperm_is_no_probe_fault() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(40)
    story.answer = answers(**{AT_VIP: EPERM})
    story.store(slice_of())
    story.run(60)

    assert story.verdicts() == ["healthy", "no_endpoints"]


def test_7_eperm_with_usable_endpoints_stays_our_own_fault() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(**{AT_VIP: EPERM}))
    story.run(60)

    assert story.verdict() == "probe_fault"
    assert "Operation not permitted" in story.summary()
    assert counted(story, Result.LOCAL_FAULT) > 10


def test_7_a_cluster_ip_without_a_way_whose_endpoints_answer_is_a_stale_proxy() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(40)
    story.answer = answers(**{AT_VIP: HOST_UNREACHABLE})
    story.run(20)

    assert story.verdicts() == ["healthy", "proxy_stale"]


# Services without endpoints.


def name(i: int) -> str:
    return f"s-{i}"


def numbered(i: int, *, local: bool = False) -> Service:
    address = f"10.97.{i // 200}.{i % 200 + 1}"
    return service(name=name(i), ips=(address,), selector=(("app", name(i)),), local=local)


def empties(number: int) -> list[Service]:
    return [
        service(
            name=name(i), ips=(f"10.97.{i // 200}.{i % 200 + 1}",), selector=(("app", name(i)),)
        )
        for i in range(number)
    ]


def pods_of(i: int) -> EndpointSlice:
    return slice_of(f"10.1.{i // 200}.{i % 200 + 1}", service=name(i))


def most_to_the_empty(times: list[float]) -> float:
    """By how many dials any window holds more than one a second."""
    return max(
        (
            j - i + 1 - (times[j] - times[i])
            for i in range(len(times))
            for j in range(i, min(i + 60, len(times)))
        ),
        default=0.0,
    )


@pytest.mark.slow
def test_2_500_services_that_lose_their_endpoints_at_once_are_not_swept() -> None:
    """Though they wait for their turn, since the budget of ordinary dials is spent."""
    story = Story(Config(NODE, dials_per_second=20))
    story.listed(empties(500), [pods_of(i) for i in range(500)])
    story.run(5)
    assert story.world.waiting > 200

    lost, story.answer = story.now, lambda dial, now: TIMEOUT
    for i in range(500):
        story.store(slice_of(service=name(i)))
    story.run(60)
    vips = [d.at for d in story.dials_since(lost, Kind.SERVICE)]

    assert 55 <= len(vips) <= 61
    assert most_to_the_empty(vips) <= 1 + 1e-6
    assert {str(t.new.verdict) for t in story.turns if t.at > lost} == {"no_endpoints"}


steps = st.one_of(
    st.tuples(st.just("lose"), st.integers(0, 11)),
    st.tuples(st.just("gain"), st.integers(0, 11)),
    st.tuples(st.just("roll"), st.integers(0, 11)),
    st.tuples(st.just("local"), st.integers(0, 11)),
    st.tuples(st.just("peers"), st.integers(0, 5)),
    st.tuples(st.just("pass"), st.integers(1, 60)),
)
answered = st.lists(
    st.sampled_from([CONNECTED, REFUSED, TIMEOUT, LOCAL_FAULT, EPERM]), min_size=1, max_size=5
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=40), answered, st.sampled_from([0.0, 3.0]), st.integers(1, 30))
def test_2_whatever_happens_empty_services_get_a_dial_a_second_in_all(
    events: list[tuple[str, int]], said: list[Outcome], rate: float, room: int
) -> None:
    """The model knows which Services are empty; the dials that meet those are looked at."""
    turn = count()
    config = Config(
        NODE, interval=1.0, settle=1.0, linger=5.0, dials_per_second=rate, peers=KEY[:2]
    )
    story = Story(config, answer=lambda dial, now: said[next(turn) % len(said)])
    story.listed(empties(12))
    held: set[str] = set()
    times: list[float] = []
    flying: list[Dial] = []
    for step, (what, i) in enumerate([*events, ("pass", 60)]):
        match what:
            case "lose":
                story.store(slice_of(service=name(i)))
                held -= {name(i)}
            case "gain":
                story.store(pods_of(i))
                held |= {name(i)}
            case "roll":
                labels = (("app", name(i)),)
                story.store(
                    workload(name=name(i), labels=labels, image=f"app:{step}", complete=False)
                )
            case "local":
                story.store(numbered(i, local=True))  # its pods are on another node: dropped here
                held -= {name(i)}
            case "peers":
                peers = [endpoint(f"10.9.0.{n}", node=f"node-{n}") for n in range(i)]
                story.store(slice_of(*peers))
            case _:
                pass
        for _ in range(i if what == "pass" else 0):
            story.now += 0.1
            story.world.record([(d, story.answer(d, story.now)) for d in flying], story.now)
            flying = story.world.due(story.now, room)
            times += [
                story.now
                for d in flying
                if d.edge.kind is Kind.SERVICE and not (d.expected and d.edge.key.service in held)
            ]
            story.world.tick(story.now)
            story.world.judge(story.now)

    assert most_to_the_empty(times) <= 1 + 1e-6


def test_2_a_single_run_over_many_empty_services_does_not_sweep_them() -> None:
    story = Story(Config(NODE, once=True), answer=lambda dial, now: TIMEOUT)
    story.listed(empties(200))
    story.run(3)

    assert 1 <= len(story.dials) <= 4
    assert story.world.waiting == 0
    verdicts = {str(book.judgement.verdict) for _, book in story.world.books()}
    assert verdicts == {"no_endpoints"}


def test_2_what_an_empty_service_answers_is_expected_and_starts_nothing() -> None:
    """Neither a level, nor a blame, nor a dial of its siblings; the dial itself is counted."""
    story = standing(slice_of("10.0.0.1"))
    story.run(40)
    story.answer = answers(**{AT_VIP: TIMEOUT})
    story.store(slice_of())
    story.run(60)
    (track,) = (t for _, book in story.world.books() for t in book.tracks.values())
    assert track.level.name == "NEW"
    assert 5 <= counted(story, Result.TIMEOUT) <= 8  # its rounds, and one soon after the change

    story.answer = answers()
    story.store(slice_of("10.0.0.1"))
    story.run(40)
    assert story.verdicts() == ["healthy", "no_endpoints", "healthy"]


def test_the_errors_of_a_proxy_are_classified_as_the_stories_have_them() -> None:
    assert (classify(1, None), classify(113, None)) == (EPERM.result, HOST_UNREACHABLE.result)
