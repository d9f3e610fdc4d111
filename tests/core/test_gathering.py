from dataclasses import replace

import pytest

from probe.core import kube
from probe.core.edges import Kind, PortEdges, PortKey, Scope, implied
from probe.core.expect import Place
from probe.core.gathering import EMPTY_PATIENCE
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.nodepaths import NodePaths
from probe.core.nodes import Node
from probe.core.results import Outcome, Result
from probe.core.surroundings import Surroundings
from probe.core.verdicts import Judgement, Verdict
from tests.core.books import NOW, PODS, VIEW, book, gathered, track
from tests.core.facts import (
    CONNECTED,
    KEY,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    edge,
    endpoint,
    service,
    slice_of,
)
from tests.core.facts import port as service_port

SILENT = [track(pod, Level.DOWN, TIMEOUT) for pod in PODS]


def told(*nodes: Node) -> Surroundings:
    """What is known when these nodes, and node-b, were listed, and node-b only if it is named."""
    around = Surroundings()
    around.apply(kube.Listed("nodes", (Node("node-b"),)))
    around.apply(kube.Listed("nodes", nodes))
    return around


def dead(*names: str, own: str = NODE) -> NodePaths:
    """Ways on which two Services of each of these nodes have long been silent."""
    paths = NodePaths(own, 14.0)
    for number, node in enumerate(names):
        for name in ("backend-v1", "other"):
            address = f"10.0.{number}.{len(name)}"
            held = Track(
                edge(address, key=PortKey("demo-app", name, 8080)),
                endpoint(address, node=node),
                0.0,
                level=Level.DOWN,
                outcome=TIMEOUT,
                dialed_at=NOW - 30,
            )
            paths.begun(held)
            paths.met(held)
    list(paths.review(NOW))
    assert set(paths.dead) == {*names}
    return paths


def test_evidence_of_a_port_without_edges_is_empty() -> None:
    found = PortBook(PortEdges(KEY, service_port(), (), (), (), frozenset(), ()))
    said = gathered(ServiceRecord(), found)

    assert (said.usable, said.expected, said.vips, said.has_selector) == (0, 0, 0, False)


def test_silent_endpoints_on_a_dead_node_share_its_cause() -> None:
    said = gathered(*book(*SILENT), paths=dead("node-b"))

    assert said.cause == "node/node-b"
    assert said.shared == "nothing on node node-b answers, for 2 Services"


def test_a_zone_of_silent_endpoints_names_a_few_of_its_nodes() -> None:
    nodes = ("node-b", "node-c", "node-d", "node-e", "node-f")
    held = [replace(SILENT[0], edge=edge(f"10.0.0.{i}")) for i in range(len(nodes))]
    for each, node in zip(held, nodes, strict=True):
        each.endpoint = endpoint(each.edge.address, node=node)
    paths = dead(*nodes[1:])
    paths.cut_off = frozenset()
    for each in held:
        paths.met(each)
    record, found = book(*held)
    found.implied = implied(
        service(), [slice_of(*(t.endpoint for t in held if t.endpoint))], Scope()
    ).ports[0]
    said = gathered(record, found, paths=paths)

    assert said.cause == "node/node-c"
    assert said.shared == (
        "nothing on node node-c answers, for 2 Services and nothing on node node-d answers, "
        "for 2 Services and nothing on node node-e answers, for 2 Services "
        "and nothing that is dialed on 2 more nodes does"
    )
    paths.met(replace(held[0], edge=edge("10.0.0.9"), outcome=REFUSED))
    assert gathered(record, found, paths=paths).cause == "", "that node lives"


def test_what_failed_by_a_node_that_is_back_keeps_its_cause_until_it_is_dialed_again() -> None:
    held, other = [replace(each) for each in SILENT], PortKey("demo-app", "other", 8080)
    record, found = book(*held)
    paths = dead("node-b")
    for each in held:
        paths.met(each)
    back = Track(edge("10.0.7.7", key=other), endpoint("10.0.7.7"), 0.0, outcome=CONNECTED)
    back.dialed_at = NOW - 0.5
    paths.met(back)
    list(paths.review(NOW))
    assert gathered(record, found, paths=paths).cause == ""
    found.judgement = Judgement(Verdict.NODE_PATH, "", cause="node/node-b")

    said = gathered(record, found, paths=paths)
    assert (said.cause, said.shared) == (
        "node/node-b",
        "what did not answer is back, and these were not dialed since",
    )
    held[0].dialed_at = NOW + 1
    paths.met(held[0])
    assert gathered(record, found, paths=paths).cause == ""


def test_endpoints_that_refuse_share_nothing_with_a_dead_node() -> None:
    refusing = [track(pod, Level.DOWN, REFUSED) for pod in PODS]
    mixed = [SILENT[0], track(PODS[1], Level.DOWN, REFUSED)]

    for held in (refusing, mixed, []):
        assert gathered(*book(*held), paths=dead("node-b")).cause == ""


def test_a_silent_cluster_ip_alone_shares_nothing_with_a_dead_node() -> None:
    record, found = book(track(PODS[0], Level.UP, CONNECTED))
    vip = Track(edge(VIP, kind=Kind.SERVICE), None, 0.0, level=Level.DOWN, outcome=TIMEOUT)
    vip.dialed_at = NOW - 1
    found.tracks[vip.edge] = vip

    assert gathered(record, found, paths=dead("node-b")).cause == ""
    assert gathered(record, found, paths=dead("node-b", "node-c")).cause == f"node/{NODE}"


def test_when_our_own_node_is_cut_off_it_says_so() -> None:
    said = gathered(*book(*SILENT), paths=dead("node-b", "node-c"))

    assert said.cause == f"node/{NODE}"
    assert said.shared == "nothing on the 2 other nodes answers node node-a, for 2 Services"


def test_a_node_that_is_not_ready_explains_its_silent_endpoints() -> None:
    unready = told(Node("node-b", ready=False))
    both = gathered(*book(*SILENT), paths=dead("node-b"), around=unready)

    assert gathered(*book(*SILENT), around=unready).shared == "node node-b is not ready"
    assert both.shared == (
        "nothing on node node-b answers, for 2 Services; node node-b is not ready"
    )


@pytest.mark.parametrize(
    "around",
    [told(Node("node-b", leaving="the cluster autoscaler removes it")), told()],
    ids=["leaving", "gone"],
)
def test_36_silent_endpoints_of_a_node_that_is_removed_accuse_nobody(around: Surroundings) -> None:
    said = gathered(*book(*SILENT), around=around)

    assert (said.expected, said.down, said.elsewhere) == (0, (), 0)


def test_36_endpoints_that_answer_from_such_a_node_are_counted() -> None:
    held = [SILENT[0], track(PODS[1], Level.UP, CONNECTED)]

    assert gathered(*book(*held), around=told()).up == 1


def test_2_a_timeout_after_a_reject_is_the_reject_that_an_icmp_limit_swallowed() -> None:
    limited = track(PODS[0], Level.DOWN, TIMEOUT)
    limited.rejected_at = NOW - 11
    long_ago = track(PODS[1], Level.DOWN, TIMEOUT)
    long_ago.rejected_at = NOW - 3600

    assert gathered(*book(limited, long_ago)).down == (Result.REJECTED, Result.TIMEOUT)


@pytest.mark.parametrize("outcome", [REFUSED, REJECTED], ids=str)
def test_other_results_are_what_they_are_whatever_was_before(outcome: Outcome) -> None:
    held = track(PODS[0], Level.DOWN, outcome)
    held.rejected_at = NOW - 1

    assert gathered(*book(held)).down == (outcome.result,)


def test_a_silent_edge_in_doubt_is_undecided() -> None:
    paths = NodePaths(NODE, 14.0)
    other = Track(edge("10.0.7.7", key=PortKey("demo-app", "other", 8080)), endpoint("10.0.7.7"), 0)
    for held in (*SILENT, other):
        paths.begun(held)
        paths.met(held)

    assert gathered(*book(*SILENT), paths=paths).undecided == 2


def emptied(*nodes: str, cause: str = "") -> tuple[ServiceRecord, PortBook]:
    """A port whose pods on these nodes are all not ready."""
    pods = [endpoint(f"10.0.0.{i}", ready=False, node=node) for i, node in enumerate(nodes)]
    held = slice_of(*pods)
    found = PortBook(implied(service(), [held], Scope()).ports[0])
    found.expect(Place(NODE), local=False)
    found.judgement = Judgement(Verdict.NODE_PATH, "", cause=cause)
    return ServiceRecord(service(), slices={"x": held}, books={8080: found}), found


def test_a_node_that_is_given_up_explains_that_its_pods_are_not_ready() -> None:
    around = told(Node("node-b", ready=False), Node("node-c", ready=False), Node("node-d"))

    assert gathered(*emptied("node-b"), around=around).cause == "node/node-b"
    both = gathered(*emptied("node-b", "node-c"), around=around)
    assert both.shared == "node node-b is not ready and node node-c is not ready"
    for nodes in (("node-d",), ("node-b", "node-d"), ("",), ()):
        assert gathered(*emptied(*nodes), around=around).cause == ""


def test_a_node_that_was_the_cause_is_it_still_before_kubernetes_says_so() -> None:
    lost = gathered(*emptied("node-b", "node-b", cause="node/node-b"))

    assert (lost.cause, lost.shared) == ("node/node-b", "node node-b does not answer")
    assert gathered(*emptied("node-b", cause="node/node-c")).cause == ""


def test_that_the_last_endpoint_is_gone_is_not_believed_at_once() -> None:
    record, found = emptied("node-b")
    found.moved_at = NOW - EMPTY_PATIENCE + 0.1
    assert gathered(record, found).pending
    found.moved_at = NOW - EMPTY_PATIENCE

    assert not gathered(record, found).pending


def test_that_the_last_endpoint_is_gone_is_not_believed_while_a_watch_is_away() -> None:
    """A port was taken away: its slices said so, and the Service could not."""
    record, found = emptied("node-b")
    found.moved_at = NOW - 40.0
    away = replace(VIEW, stale_seconds=41.0)

    assert gathered(record, found, away).pending
    assert not gathered(record, found, replace(away, stale_seconds=30.0)).pending


def test_new_endpoints_that_fail_are_told_apart_from_those_that_only_settle() -> None:
    held = [track(PODS[0], Level.SUSPECT, REFUSED), track(PODS[1], Level.UP, CONNECTED)]
    held[0].since = held[1].since = NOW - 2
    said = gathered(*book(*held))

    assert (said.settling, said.failing_new) == (1, 1)
