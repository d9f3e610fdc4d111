"""What a World makes of events and outcomes, one rule at a time."""

from dataclasses import replace

from probe.core import kube
from probe.core.changes import ChangeKind
from probe.core.edges import Kind, PortKey, Scope, Skip
from probe.core.results import Outcome
from probe.core.rollouts import Phase
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    Story,
    answers,
    endpoint,
    leaving,
    service,
    slice_of,
    standing,
    workload,
)

VIP6 = "fd00::10"


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

    assert [c.kind for c in story.world.mirror.changes] == [ChangeKind.PROBER]
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
    story.run(13)  # an interval, its jitter, and the dial that confirms
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
    story = standing(there, answer=answers(at_10_96_0_10=TIMEOUT), of=service(local=True))
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
    story = standing(slice_of(published), answer=refusing, of=service(publish_not_ready=True))
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
    story = standing(slice_of("10.0.0.1"), of=service(ips=()))
    story.run(30)

    assert story.summary() == "1 of 1 endpoints answer"


def test_17_a_manual_backend_is_not_dialed_through_its_cluster_ip_either() -> None:
    manual = slice_of(endpoint("192.0.2.1", pod=""))
    story = standing(manual, of=service(selector=()))
    story.run(30)

    assert (story.dials, story.verdict()) == ([], "unknown")
    assert story.summary() == "endpoints outside of what we may dial: all 1"
    assert story.world.skipped_dials == {Skip.MANUAL: 1}


def test_17_the_api_servers_own_service_is_dialed_though_its_backend_is_manual() -> None:
    key = ("default", "kubernetes")
    manual = replace(slice_of(endpoint("192.0.2.1", pod="")), namespace=key[0], service=key[1])
    of = replace(service(selector=()), namespace=key[0], name=key[1])
    story = standing(manual, answer=answers(at_10_96_0_10=REFUSED), of=of)
    story.run(45)

    assert {d.edge.address for d in story.dials} == {VIP}
    assert story.summary(PortKey(*key, 8080)) == (
        "the ClusterIP fails (1 refused); 1 of its 1 endpoints are not dialed from here"
    )


def test_17_a_headless_service_of_manual_backends_cannot_be_told() -> None:
    story = standing(slice_of(endpoint("192.0.2.1", pod="")), of=service(selector=(), ips=()))
    story.run(30)

    assert (story.verdict(), story.dials) == ("unknown", [])


def test_22_one_family_may_be_broken_alone() -> None:
    six = slice_of("fd00::1", address_type="IPv6", name="six")
    story = standing(
        slice_of("10.0.0.1"), six, answer=answers(at_fd00__10=TIMEOUT), of=service(ips=(VIP, VIP6))
    )
    story.run(45)

    assert story.verdict() == "proxy_stale"
    assert story.summary().startswith(
        "2 of 2 endpoints answer, the IPv6 ClusterIP does not (1 timeout)"
    )


def test_22_a_family_without_endpoints_is_not_expected_to_connect_but_told() -> None:
    story = standing(
        slice_of("10.0.0.1"), answer=answers(at_fd00__10=REJECTED), of=service(ips=(VIP, VIP6))
    )
    story.run(60)

    assert story.verdicts() == ["healthy", "endpoint_down"]
    assert "the IPv6 ClusterIP has no endpoints" in story.summary()


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


def test_43_an_application_bound_to_loopback_is_not_listening() -> None:
    story = Story(answer=answers(at_10_0_0_1=REFUSED, at_10_96_0_10=REFUSED)).listed(
        [service()], [slice_of("10.0.0.1")], [workload(DECLARED_8080)]
    )
    story.run(30)

    assert story.verdict() == "not_listening"


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
    assert [c.kind for c in story.world.mirror.changes] == [ChangeKind.PROBER]
    assert {d.edge.key.namespace for d in story.dials} == {"demo-app", "shop"}


def test_a_healthy_verdict_ages_when_nothing_is_dialed_any_more() -> None:
    """Descriptors or the budget may be used up by others: what is not seen is not healthy."""
    story = standing(slice_of("10.0.0.1", "10.0.0.2")).run(30)
    assert story.verdict() == "healthy"
    for _ in range(60):
        story.now += 1
        story.world.tick(story.now)
        story.turns += story.world.judge(story.now)

    assert story.verdicts() == ["healthy", "unknown"]
    story.run(30)
    assert story.verdicts() == ["healthy", "unknown", "healthy"]


def test_a_service_that_went_while_it_aged_is_not_judged() -> None:
    story = standing(slice_of("10.0.0.1")).run(30)
    for i in range(60):
        story.now += 1
        if i == 40:
            story.remove(service())
        story.world.tick(story.now)
        story.turns += story.world.judge(story.now)

    assert story.verdicts() == ["healthy", "unknown"]
    assert not story.world.mirror.services[KEY[:2]].books


def test_what_becomes_on_purpose_is_a_turn() -> None:
    """Scaled to zero is information, and once it was scaled up again and its deadline is over it
    is none any more: both are told."""
    story = Story().listed([service()], [slice_of()], [workload(replicas=2, deadline=30)]).run(5)
    for replicas in (0, 2):
        story.store(workload(replicas=replicas, deadline=30))
        story.run(35)

    told = [(str(t.new.verdict), t.new.on_purpose) for t in story.turns]
    assert told == [("no_endpoints", False), ("no_endpoints", True), ("no_endpoints", False)]
