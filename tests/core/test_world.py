"""What a World makes of events and outcomes, one rule at a time."""

from probe.core import kube
from probe.core.edges import Kind, PortKey, Scope, Skip
from probe.core.results import Outcome
from probe.core.rollouts import Phase
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    Answer,
    Story,
    endpoint,
    leaving,
    port,
    service,
    slice_of,
    workload,
)

VIP6 = "fd00::10"


def answers(**by_address: Outcome) -> Answer:
    """These addresses (dots and colons written as _) answer so, all others connect."""

    def answer(dial: Dial, now: float) -> Outcome:
        name = dial.edge.address.replace(".", "_").replace(":", "_")
        return by_address.get(f"at_{name}", CONNECTED)

    return answer


def standing(*slices: object, answer: Answer | None = None, **of: object) -> Story:
    """A Service that was there before us, with these slices."""
    story = Story(answer=answer or answers())
    return story.listed([service(**of)], slices)  # type: ignore[arg-type]


def test_nothing_is_judged_before_everything_is_listed() -> None:
    story = Story()
    story.world.apply(kube.Listed("services", (service(),)), story.now)
    story.run(30)
    assert not story.turns

    story.world.apply(kube.Listed("endpointslices", (slice_of("10.0.0.1"),)), story.now)
    story.run(30)
    assert story.verdicts() == ["healthy"]


def test_37_what_stood_before_us_is_neither_new_nor_a_change() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED))
    story.run(10)

    assert not story.world.mirror.changes
    assert story.verdict() == "not_listening"


def test_37_our_own_first_dials_are_marked_as_settling() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(60)
    phases = [(d.at < 1030.0, d.phase) for d in story.dials]

    assert set(phases) == {(True, Phase.SETTLING), (False, Phase.STEADY)}


def test_32_a_new_service_may_fail_while_it_settles() -> None:
    story = Story(answer=answers(at_10_96_0_10=TIMEOUT)).listed()
    story.store(service(), slice_of("10.0.0.1"))
    story.run(29)
    assert story.verdict() == "unknown"

    story.answer = answers()
    story.run(10)
    assert story.verdicts() == ["healthy"]


def test_32_a_service_made_anew_under_the_same_name_settles_again() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(60)
    story.answer = answers(at_10_96_0_99=TIMEOUT)
    story.store(service(uid="uid-2", ips=("10.96.0.99",)))
    story.run(25)

    assert "proxy_stale" not in story.verdicts()


def test_10_no_local_endpoint_is_as_expected_and_accuses_nobody() -> None:
    there = slice_of(endpoint("10.0.0.1", node="node-b"))
    story = standing(there, answer=answers(at_10_96_0_10=TIMEOUT), local=True)
    story.run(60)

    assert story.verdicts() == ["healthy"]
    assert story.summary() == "nothing to dial here"


def test_12_all_endpoints_terminating_are_still_expected_to_serve() -> None:
    story = standing(slice_of(leaving("10.0.0.1"), leaving("10.0.0.2")))
    story.run(30)

    assert story.summary() == "2 of 2 endpoints answer, the ClusterIP answers"


def test_14_unready_pods_of_a_service_that_publishes_them_accuse_nobody() -> None:
    published = endpoint("10.0.0.1", ready=True, serving=False)
    refusing = answers(at_10_0_0_1=REFUSED, at_10_96_0_10=REFUSED)
    story = standing(slice_of(published), answer=refusing, publish_not_ready=True)
    story.run(60)

    assert story.verdicts() == ["healthy"]

    story.store(slice_of(published, "10.0.0.2"))
    story.run(60)
    assert story.summary() == "1 of 1 endpoints answer"


def test_unready_pods_are_not_dialed_until_they_are_ready() -> None:
    story = standing(slice_of("10.0.0.1", endpoint("10.0.0.2", ready=False)))
    story.run(30)
    assert {d.edge.address for d in story.dials} == {VIP, "10.0.0.1"}

    ready_at = story.now
    story.store(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(2)
    assert "10.0.0.2" in {d.edge.address for d in story.dials_since(ready_at)}


def test_16_a_headless_service_is_judged_by_its_endpoints() -> None:
    story = standing(slice_of("10.0.0.1"), ips=())
    story.run(30)

    assert story.summary() == "1 of 1 endpoints answer"


def test_17_a_manual_backend_leaves_the_cluster_ip_to_speak() -> None:
    manual = slice_of(endpoint("192.0.2.1", pod=""))
    story = standing(manual, selector=(), answer=answers(at_10_96_0_10=REFUSED))
    story.run(30)

    assert {d.edge.address for d in story.dials} == {VIP}
    assert story.verdict() == "endpoint_down"
    assert story.summary() == (
        "the ClusterIP fails (1 refused); 1 of its 1 endpoints are not dialed from here"
    )
    assert story.world.skipped_dials == {Skip.MANUAL: 1}


def test_17_a_headless_service_of_manual_backends_cannot_be_told() -> None:
    story = standing(slice_of(endpoint("192.0.2.1", pod="")), selector=(), ips=())
    story.run(30)

    assert (story.verdict(), story.dials) == ("unknown", [])


def test_22_one_family_may_be_broken_alone() -> None:
    six = slice_of("fd00::1", address_type="IPv6", name="six")
    story = standing(
        slice_of("10.0.0.1"), six, ips=(VIP, VIP6), answer=answers(at_fd00__10=TIMEOUT)
    )
    story.run(30)

    assert story.verdict() == "proxy_stale"
    assert story.summary().startswith("2 of 2 endpoints answer, the ClusterIP does not (1 timeout)")


def test_22_a_family_without_endpoints_is_not_expected_to_connect() -> None:
    story = standing(slice_of("10.0.0.1"), ips=(VIP, VIP6), answer=answers(at_fd00__10=REJECTED))
    story.run(60)

    assert story.verdicts() == ["healthy"]


def test_31_a_cluster_ip_that_meets_one_bad_backend_is_that_backends_fault() -> None:
    rotation = iter(range(10**6))

    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is Kind.SERVICE:
            return REFUSED if next(rotation) % 2 else CONNECTED
        return REFUSED if dial.edge.address == "10.0.0.2" else CONNECTED

    story = standing(slice_of("10.0.0.1", "10.0.0.2"), answer=answer)
    story.run(60)

    assert story.verdicts() == ["endpoint_down"]
    assert story.summary().startswith("1 of 2 endpoints fail (1 refused): 10.0.0.2:8080")


def test_30_an_answering_cluster_ip_does_not_hide_a_dead_endpoint() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_2=TIMEOUT))
    story.run(60)

    assert story.verdicts() == ["endpoint_down"]


def test_34_local_faults_change_no_state_and_accuse_nobody() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(30)
    story.answer = lambda dial, now: LOCAL_FAULT
    story.run(20)
    assert story.verdicts() == ["healthy"]

    story.run(60)
    assert story.verdict() == "probe_fault"
    assert story.summary().startswith("the prober itself could not dial: our own fault: Too many")

    story.answer = answers()
    story.run(5)
    assert story.verdict() == "healthy"


def test_35_the_outcome_of_a_dial_to_an_endpoint_that_has_gone_accuses_nobody() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), ips=())
    story.run(30)
    world, now = story.world, story.now + 20
    flying = world.due(now, 1000)
    world.apply(kube.Stored("endpointslices", slice_of("10.0.0.2")), now)
    met = {"10.0.0.1": REFUSED, "10.0.0.2": CONNECTED}
    world.record([(dial, met[dial.edge.address]) for dial in flying], now + 1)
    story.now = now + 1
    story.run(60)

    assert len(flying) == 2
    assert story.verdicts() == ["healthy"]


def test_35_an_address_taken_over_by_another_pod_starts_anew() -> None:
    story = standing(slice_of(endpoint("10.0.0.1", pod="old")), answer=answers(at_10_0_0_1=REFUSED))
    story.run(30)
    assert story.verdict() == "not_listening"

    story.answer = answers()
    story.store(slice_of(endpoint("10.0.0.1", pod="new")))
    story.run(3)
    assert story.verdict() == "healthy"


def test_35_an_outcome_from_before_an_endpoint_came_back_does_not_count() -> None:
    story = standing(slice_of("10.0.0.1"), ips=())
    story.run(30)
    world, now = story.world, story.now
    old = next(d for t in range(1000) for d in world.due(now + t / 50, 9))
    now += 30
    for held in (slice_of(), slice_of("10.0.0.1")):
        world.apply(kube.Stored("endpointslices", held), now)
    (new,) = world.due(now + 2, 9)
    world.record([(old, REFUSED)], now + 2)
    (track,) = (t for _, b in world.books() for t in b.tracks.values())

    assert (track.in_flight, track.outcome) == (True, None)
    world.record([(new, CONNECTED)], now + 2)
    assert track.outcome == CONNECTED


def test_38_failures_while_the_api_server_is_away_accuse_nobody() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(30)
    story.world.stale_seconds = 121.0
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.run(30)

    assert story.verdicts() == ["healthy", "unknown"]
    assert story.summary() == (
        "dials fail, but the API server has been away for 121 s: the endpoints may have moved"
    )
    story.world.stale_seconds = None
    story.run(10)
    assert story.verdict() == "endpoint_down"


def test_38_what_answers_stays_healthy_while_the_api_server_is_away() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.world.stale_seconds = 1000.0
    story.run(60)

    assert story.verdicts() == ["healthy"]
    assert len(story.dials) >= 10


def test_43_an_application_bound_to_loopback_is_not_listening() -> None:
    story = Story(answer=answers(at_10_0_0_1=REFUSED, at_10_96_0_10=REFUSED)).listed(
        [service()], [slice_of("10.0.0.1")], [workload(DECLARED_8080)]
    )
    story.run(30)

    assert story.verdict() == "not_listening"


def test_a_service_that_goes_leaves_nothing_behind_and_is_not_dialed_again() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED))
    story.run(30)
    story.remove(slice_of("10.0.0.1"))
    story.remove(service())
    gone = story.now
    story.run(60)

    assert story.dials_since(gone) == []
    assert not story.world.mirror.services
    assert not (story.world._dirty | story.world._restless)


def test_an_external_name_that_becomes_an_ordinary_service_is_dialed() -> None:
    story = Story().listed([service(kind="ExternalName", ips=())], [slice_of("10.0.0.1")])
    story.run(10)
    assert story.dials == []

    story.store(service())
    story.run(40)
    assert story.verdict() == "healthy"


def test_a_port_that_is_taken_away_takes_its_book_along() -> None:
    other = PortKey("demo-app", "backend-v1", 9090)
    story = standing(slice_of("10.0.0.1"))
    story.store(service(port(), port(9090, 9090, name="admin")))
    story.run(5)
    assert other in {d.edge.key for d in story.dials}

    story.store(service())
    gone = story.now
    story.run(30)
    assert {d.edge.key for d in story.dials_since(gone)} == {KEY}


def test_a_change_while_the_dial_is_in_flight_is_looked_at_soon_after() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(30)
    world = story.world
    flying = next(
        d
        for t in range(1000)
        for d in world.due(story.now + t / 50, 9)
        if d.edge.kind is Kind.SERVICE
    )
    now = flying.at + 0.1
    world.apply(kube.Stored("endpointslices", slice_of("10.0.0.1", "10.0.0.2")), now)
    world.record([(flying, CONNECTED)], now + 0.1)
    soon = [d for t in range(60) for d in world.due(now + t / 50, 9)]

    assert Kind.SERVICE in {d.edge.kind for d in soon}


def test_room_bounds_what_is_handed_out_and_the_rest_waits() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(300)]
    story = standing(slice_of(*pods))
    first = story.world.due(story.now + 5, 100)

    assert len(first) == 100
    assert story.world.waiting == 201
    assert story.world.lateness(story.now + 5) > 2
    assert len(story.world.due(story.now + 5, 1000)) == 0  # the rest of the budget's burst is spent
    assert len(story.world.due(story.now + 6, 1000)) > 0


def test_a_large_service_is_judged_less_often_than_a_small_one() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    story = standing(slice_of(*pods))
    story.run(1)
    judged = story.world.mirror.services["demo-app", "backend-v1"].books[8080]

    assert story.now - judged.judged_at <= 0.3
    assert story.world.coverage(story.now) < 1
    story.run(20)
    assert story.verdict() == "healthy"
    assert story.world.coverage(story.now) == 1


def test_a_world_without_edges_covers_all_of_them() -> None:
    assert Story().world.coverage(0.0) == 1.0


def test_a_single_run_dials_everything_once_and_confirms_nothing() -> None:
    story = Story(Config(NODE, once=True), answer=answers(at_10_0_0_1=REFUSED))
    story.listed([service()], [slice_of("10.0.0.1")], [workload(DECLARED_8080)])
    dials = story.world.due(story.now, 1000)
    story.world.record([(d, story.answer(d, story.now)) for d in dials], story.now)
    story.world.judge(story.now)
    assert story.verdict() == "not_listening"

    story.run(60)
    assert len(story.dials) == 0
    assert not story.world.outstanding


def test_a_single_run_waits_for_the_candidates_that_its_dials_ask_for() -> None:
    story = Story(Config(NODE, once=True), answer=answers())
    story.listed(
        [service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    world = story.world
    dials = world.due(story.now, 1000)
    world.record([(d, REFUSED) for d in dials], story.now)
    world.judge(story.now)
    assert world.outstanding

    (candidate,) = world.due(story.now + 0.1, 1000)
    world.record([(candidate, CONNECTED)], story.now + 0.1)
    world.judge(story.now + 0.1)
    assert story.verdict(KEY._replace(port=80)) == "port_mismatch"


def test_a_candidate_that_met_our_own_fault_is_dialed_again() -> None:
    faults = iter([LOCAL_FAULT])

    def answer(dial: Dial, now: float) -> Outcome:
        return next(faults, CONNECTED) if dial.edge.kind is Kind.CANDIDATE else REFUSED

    story = Story(answer=answer).listed(
        [service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    story.run(20)

    assert story.verdict(KEY._replace(port=80)) == "port_mismatch"


def test_each_namespace_is_listed_by_itself_and_all_count_as_standing_before_us() -> None:
    scope = Scope(namespaces=frozenset({"demo-app", "shop"}))
    story = Story(Config(NODE, scope=scope))
    for namespace in ("demo-app", "shop"):
        story.world.apply(
            kube.Listed("services", (service(namespace=namespace),), namespace), story.now
        )
        assert not story.world.mirror.synced
        story.run(5)
    for namespace in ("demo-app", "shop"):
        held = slice_of("10.0.0.1", namespace=namespace)
        story.world.apply(kube.Listed("endpointslices", (held,), namespace), story.now)
    story.run(5)

    assert story.world.mirror.synced
    assert not story.world.mirror.changes
    assert {d.edge.key.namespace for d in story.dials} == {"demo-app", "shop"}
