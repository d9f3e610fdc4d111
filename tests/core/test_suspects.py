"""The change that explains an incident: the table, and what holds of it in any order."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.edges import Author, PortKey
from probe.core.incident import ALARMING
from probe.core.suspects import (
    FADES,
    HEARD_LATE,
    LATEST,
    NEARNESS,
    PRECEDING_SECONDS,
    SUSPECTS,
    VERDICTS,
    Near,
    Scene,
    blamed,
    distance,
    score,
    sentence,
    suspected,
    unexplained,
)
from probe.core.verdicts import Verdict

BEGAN = 1000.0
WEB = PortKey("shop", "web", 80)
API = PortKey("shop", "api", 80)
ELSEWHERE = PortKey("other", "web", 80)


def change(
    kind: ChangeKind, before: float, *aspects: Aspect, of: str = "web", **more: Any
) -> Change:
    """One that was heard so many seconds before the failing began."""
    made = Change(BEGAN - before, kind, "shop", f"{kind} shop/{of}", "", services=(of,))
    return replace(made, aspects=aspects, **more)


def edit(before: float, *ports: int, **more: Any) -> Change:
    return change(ChangeKind.SERVICE_EDIT, before, Aspect.PORT, ports=ports or (80,), **more)


def rollout(before: float, *aspects: Aspect, **more: Any) -> Change:
    return change(ChangeKind.ROLLOUT, before, *aspects, **more)


def node(before: float, aspect: Aspect, name: str = "node-2") -> Change:
    at = BEGAN - before
    return Change(at, ChangeKind.NODE, "", f"Node {name}", "", node=name, aspects=(aspect,))


def everywhere(kind: ChangeKind, before: float, **more: Any) -> Change:
    return Change(BEGAN - before, kind, "kube-system", f"DaemonSet kube-system/{kind}", "", **more)


def scene(verdict: Verdict, *ports: PortKey, **more: Any) -> Scene:
    return Scene(verdict, BEGAN, frozenset(ports or (WEB,)), "node-1", **more)


def test_the_columns_are_the_verdicts_that_make_incidents_and_each_has_a_suspect() -> None:
    assert set(VERDICTS) == ALARMING
    assert len(VERDICTS) == len(ALARMING)
    assert all(len(row.points) == len(VERDICTS) for row in SUSPECTS)
    assert all(any(row.points[column] for row in SUSPECTS) for column in range(len(VERDICTS)))


def test_rows_are_apart_and_stay_within_their_scale() -> None:
    assert len({(row.kind, row.aspect) for row in SUSPECTS}) == len(SUSPECTS)
    for row in SUSPECTS:
        assert all(0 < points <= 100 for points in row.points if points is not None)
        assert 0 < row.within <= PRECEDING_SECONDS
        assert row.late >= HEARD_LATE
        assert row.why
    assert max(row.late for row in SUSPECTS) == LATEST
    assert set(NEARNESS) == set(Near)


def test_what_may_lead_to_a_verdict_is_told_the_likeliest_first() -> None:
    (points, first), *others = suspected(Verdict.PORT_MISMATCH)
    assert (points, first.kind, first.aspect) == (140, ChangeKind.SERVICE_EDIT, Aspect.PORT)
    assert [points for points, _ in others] == sorted((p for p, _ in others), reverse=True)
    assert suspected(Verdict.HEALTHY) == []


V, K, A = Verdict, ChangeKind, Aspect


@pytest.mark.parametrize(
    ("verdict", "likely", "other"),
    [
        (V.PORT_MISMATCH, edit(20), rollout(5, A.DECLARED)),
        (V.PORT_MISMATCH, rollout(20, A.DECLARED), rollout(5)),
        (V.PORT_MISMATCH, rollout(5, A.DECLARED), edit(150)),
        (V.NO_ENDPOINTS, change(K.SERVICE_EDIT, 20, A.SELECTOR), rollout(5)),
        (V.NO_ENDPOINTS, change(K.SCALE, 20, A.DOWN), rollout(5)),
        (V.DRAIN_RACE, rollout(40), node(5, A.CORDONED)),
        (V.DRAIN_RACE, node(5, A.CORDONED), rollout(590)),
        (V.DENIED, change(K.POLICY, 30, A.ADMITTED), rollout(5)),
        (V.BLACKHOLED, change(K.POLICY, 30, A.ADMITTED), everywhere(K.NETWORK, 5)),
        (V.LOSSY, everywhere(K.NETWORK, 60), everywhere(K.PROXY, 5)),
        (V.NOT_LISTENING, edit(20), edit(50)),
    ],
)
def test_the_likelier_change_is_blamed(verdict: Verdict, likely: Change, other: Change) -> None:
    there = scene(verdict, nodes=frozenset({"node-2"}))

    assert blamed([likely], there) is likely
    assert blamed([other], there) is other
    assert blamed([likely, other], there) is likely
    assert blamed([other, likely], there) is likely


@pytest.mark.parametrize(
    ("verdict", "innocent"),
    [
        (V.PORT_MISMATCH, edit(5, of="api")),
        (V.PORT_MISMATCH, edit(5, namespace="other")),
        (V.PORT_MISMATCH, edit(5, 443)),
        (V.PORT_MISMATCH, change(K.SCALE, 5, A.UP)),
        (V.PORT_MISMATCH, everywhere(K.NETWORK, 5)),
        (V.ENDPOINT_DOWN, change(K.ENDPOINT, 5)),
        (V.ENDPOINT_DOWN, change(K.ROLLOUT_END, 5)),
        (V.ENDPOINT_DOWN, node(5, A.NOT_READY, "node-3")),
        (V.ENDPOINT_DOWN, node(5, A.NOT_READY, "node-1")),
        (V.NOT_LISTENING, change(K.SERVICE_REMOVED, 5)),
        (V.NOT_LISTENING, everywhere(K.PROBER, 5, node="node-1")),
        (V.BLACKHOLED, change(K.POLICY, 5)),
        (V.LOSSY, rollout(5)),
        (V.LOSSY, everywhere(K.NETWORK, 5, node="node-3")),
    ],
)
def test_what_could_not_do_it_is_not_blamed(verdict: Verdict, innocent: Change) -> None:
    assert blamed([innocent], scene(verdict, nodes=frozenset({"node-2"}))) is None


def test_nothing_is_an_answer() -> None:
    assert blamed([], scene(Verdict.ENDPOINT_DOWN)) is None


def test_of_two_that_are_equal_in_all_that_counts_it_is_always_the_same() -> None:
    one, two = edit(5, detail="8080 -> 8081"), edit(5, detail="8081 -> 8082")
    there = scene(Verdict.PORT_MISMATCH)

    assert blamed([one, two], there) is blamed([two, one], there) is two


def test_an_edit_that_touched_the_port_and_the_selector_counts_as_the_worse_of_them() -> None:
    both = replace(edit(10, 443), aspects=(Aspect.PORT, Aspect.SELECTOR))
    only = change(ChangeKind.SERVICE_EDIT, 10, Aspect.SELECTOR)
    there = scene(Verdict.NO_ENDPOINTS)

    assert score(both, there, there.services) == score(only, there, there.services)


def test_a_shared_cause_is_explained_by_what_concerns_all_of_its_services() -> None:
    stale = scene(Verdict.PROXY_STALE, WEB, API, accused="node-1")
    proxy = everywhere(ChangeKind.PROXY, 60)
    both = change(ChangeKind.SERVICE_EDIT, 5, Aspect.ADDRESS, services=("api", "web"))

    assert blamed([change(ChangeKind.SERVICE_EDIT, 5, Aspect.ADDRESS), proxy], stale) is proxy
    assert blamed([both], stale) is both
    assert blamed([both], scene(Verdict.PROXY_STALE, WEB, ELSEWHERE, accused="node-1")) is None


def test_a_lost_node_is_blamed_by_its_name_although_it_is_told_late() -> None:
    lost = scene(Verdict.NODE_PATH, WEB, API, accused="node-2", nodes=frozenset({"node-3"}))

    assert blamed([node(-50, Aspect.NOT_READY)], lost) is not None
    assert blamed([node(-LATEST - 1, Aspect.NOT_READY)], lost) is None
    assert blamed([node(-50, Aspect.DRAINED)], lost) is None
    assert blamed([node(5, Aspect.NOT_READY, "node-3")], lost) is None


def test_our_own_node_concerns_what_is_dialed_from_it() -> None:
    ours = node(5, Aspect.NOT_READY, "node-1")

    assert blamed([ours], scene(Verdict.LOSSY)) is ours
    assert blamed([ours], scene(Verdict.PROXY_STALE, accused="node-1")) is ours
    assert blamed([ours], scene(Verdict.NO_ENDPOINTS)) is None


def test_a_rollout_that_still_runs_does_not_fade() -> None:
    old, lately = rollout(1500), rollout(30, of="web", object="Deployment shop/canary")
    there = scene(Verdict.DRAIN_RACE)
    running = replace(there, lasting={old.object: (old.at, float("inf"))})
    over = replace(there, lasting={old.object: (old.at, BEGAN - 300)})
    another = replace(there, lasting={old.object: (old.at + 10, float("inf"))})

    assert blamed([old], there) is None
    assert blamed([old, lately], running) is old
    assert blamed([old], over) is old
    assert blamed([old, lately], over) is lately
    assert blamed([old], another) is None


def test_where_dials_are_far_apart_an_edit_may_have_acted_for_long() -> None:
    assert blamed([edit(400)], scene(Verdict.PORT_MISMATCH)) is None
    assert blamed([edit(400)], scene(Verdict.PORT_MISMATCH, round=300.0)) == edit(400)
    assert blamed([edit(700)], scene(Verdict.PORT_MISMATCH, round=600.0)) is None


def test_points_fade_with_the_time_between() -> None:
    there = scene(Verdict.PORT_MISMATCH)
    full = score(edit(0), there, there.services)
    assert full == 100 + NEARNESS[Near.SERVICE]
    assert score(edit(90), there, there.services) == full - FADES / 2
    assert score(edit(180), there, there.services) == full - FADES
    assert score(edit(181), there, there.services) is None


SERVICES = st.sampled_from([("web",), ("api",), ("api", "web"), ()])
CHANGES = st.builds(
    Change,
    st.sampled_from([-700, -590, -170, -20, -1, 0, 2, 3, 59, 61]).map(lambda s: BEGAN + s),
    st.sampled_from(ChangeKind),
    st.sampled_from(["shop", "other", ""]),
    st.sampled_from(["Service shop/web", "Deployment shop/web", "Node node-2"]),
    st.sampled_from(["a", "b"]),
    services=SERVICES,
    node=st.sampled_from(["", "node-1", "node-2"]),
    aspects=st.lists(st.sampled_from(Aspect), max_size=2).map(tuple),
    ports=st.sampled_from([(), (80,), (443,)]),
)
SCENES = st.builds(
    scene,
    st.sampled_from(VERDICTS),
    nodes=st.sampled_from([frozenset(), frozenset({"node-2"})]),
    accused=st.sampled_from(["", "node-1", "node-2"]),
)
OWN = {K.SERVICE_EDIT, K.SERVICE_ADDED, K.ROLLOUT, K.SCALE, K.POLICY}


@given(st.lists(CHANGES, max_size=6), SCENES, st.data())
def test_in_any_order_the_same_is_blamed(
    changes: list[Change], there: Scene, data: st.DataObject
) -> None:
    assert blamed(data.draw(st.permutations(changes)), there) == blamed(changes, there)


@given(st.lists(CHANGES, max_size=6), SCENES)
def test_never_what_came_clearly_later_nor_another_services(
    changes: list[Change], there: Scene
) -> None:
    found = blamed(changes, there)
    if found is None:
        return
    lost = {Aspect.NOT_READY, Aspect.REMOVED} & {*found.aspects}
    assert found.at <= there.began + (LATEST if found.kind is K.NODE and lost else HEARD_LATE)
    assert found.at >= there.began - PRECEDING_SECONDS
    if found.kind in OWN:
        assert (found.namespace, "web" in found.services) == ("shop", True)


@given(st.lists(CHANGES, max_size=4), CHANGES, SCENES)
def test_a_change_that_explains_nothing_changes_nothing(
    changes: list[Change], another: Change, there: Scene
) -> None:
    assume(blamed([another], there) is None)
    assert blamed([*changes, another], there) == blamed(changes, there)


@given(st.lists(CHANGES, max_size=4), CHANGES, SCENES)
def test_one_more_change_is_either_blamed_or_changes_nothing(
    changes: list[Change], another: Change, there: Scene
) -> None:
    assert blamed([*changes, another], there) in (another, blamed(changes, there))


@given(CHANGES, SCENES, st.floats(0, 700), st.floats(0, 700))
def test_later_never_has_fewer_points_as_long_as_it_is_before(
    one: Change, there: Scene, before: float, less: float
) -> None:
    sooner, later = sorted((before, less))
    far = score(replace(one, at=BEGAN - later), there, there.services)
    near = score(replace(one, at=BEGAN - sooner), there, there.services)
    assert far is None or (near is not None and near >= far)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (4.2, "4 s before it first failed"),
        (-0.04, "as it first failed"),
        (0.1, "0.1 s before it first failed"),
        (-0.9, "heard 0.9 s after it first failed"),
        (-45.0, "heard 45 s after it first failed"),
        (119.4, "119 s before it first failed"),
        (300.0, "5 min before it first failed"),
    ],
)
def test_the_distance_is_told_in_words(seconds: float, said: str) -> None:
    assert distance(seconds) == said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            ("service_edit", "Service shop/web", "argocd", "Argo CD", "a -> b", 4.0),
            "after service_edit by argocd (Argo CD), 4 s before it first failed: a -> b",
        ),
        (
            ("rollout", "Deployment shop/web", "", "", "a -> b", None),
            "after rollout of Deployment shop/web: a -> b",
        ),
        (
            ("node", "Node node-2", "", "", "NotReady", -40.0),
            "after Node node-2, heard 40 s after it first failed: NotReady",
        ),
    ],
)
def test_it_is_told_in_one_sentence(told: Any, said: str) -> None:
    assert sentence(*told) == said


ADA = Author("ada", "2026-11-21T10:00:00Z")


@pytest.mark.parametrize(
    ("watched", "author", "said"),
    [
        (600.0, ADA, "no known change of the ten minutes before explains it"),
        (None, ADA, "no known change of the ten minutes before explains it"),
        (
            3.4,
            None,
            "no change seen since probe started, 3 s before it first failed, explains it",
        ),
        (
            599.0,
            ADA,
            "no change seen since probe started, 10 min before it first failed, explains it; "
            "the Service was last written by ada at 2026-11-21T10:00:00Z",
        ),
    ],
)
def test_who_has_not_watched_for_ten_minutes_says_so_and_who_wrote_last(
    watched: float | None, author: Author | None, said: str
) -> None:
    assert unexplained(watched, author) == said
