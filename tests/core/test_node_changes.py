"""What changed of nodes."""

from dataclasses import replace

import pytest

from probe.core.changes import Aspect, ChangeKind
from probe.core.edges import Author
from probe.core.node_changes import node_changes, node_drained, prober_started
from probe.core.nodes import Node

ADA = Author("kubectl-cordon", "2026-11-21T10:00:00Z")
TAINTER = Author("kube-controller-manager", ADA.time)
NODE = Node("node-a", "zone-a")
CORDONED = replace(NODE, schedulable=False, author=ADA)
FALLEN = replace(NODE, ready=False, trouble="KubeletNotReady")
SILENT = replace(NODE, ready=False, trouble="NodeStatusUnknown")
LEAVING = replace(NODE, leaving="Karpenter removes it", author=ADA)
A = Aspect


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, NODE, [("added", None, ())]),
        (None, FALLEN, [("added, NotReady", None, ())]),
        (NODE, None, [("removed", None, (A.REMOVED,))]),
        (NODE, replace(NODE, zone="zone-b"), []),
        (NODE, FALLEN, [("NotReady: KubeletNotReady", None, (A.NOT_READY,))]),
        (
            NODE,
            SILENT,
            [("NotReady: its kubelet stopped posting its status", None, (A.NOT_READY,))],
        ),
        (NODE, replace(NODE, ready=False), [("NotReady", None, (A.NOT_READY,))]),
        (FALLEN, SILENT, []),
        (SILENT, NODE, [("Ready", None, ())]),
        (NODE, CORDONED, [("cordoned", ADA, (A.CORDONED,))]),
        (CORDONED, replace(NODE, author=ADA), [("uncordoned", None, ())]),
        (CORDONED, replace(NODE, author=TAINTER), [("uncordoned", None, ())]),
        (NODE, LEAVING, [("being removed: Karpenter removes it", ADA, (A.LEAVING,))]),
        (LEAVING, NODE, []),
        (
            NODE,
            replace(FALLEN, schedulable=False, author=ADA),
            [
                ("NotReady: KubeletNotReady", None, (A.NOT_READY,)),
                ("cordoned", ADA, (A.CORDONED,)),
            ],
        ),
    ],
)
def test_a_node_tells_what_became_of_it_and_who_wrote_that(
    old: Node | None, new: Node | None, expected: list[tuple[str, Author | None, tuple[Aspect]]]
) -> None:
    found = list(node_changes(old, new, 5.0))

    assert [(c.detail, c.by, c.time, c.aspects) for c in found] == [
        (detail, by and by.manager, by and by.time, aspects) for detail, by, aspects in expected
    ]
    assert {(c.at, c.kind, c.object, c.node) for c in found} <= {
        (5.0, ChangeKind.NODE, "Node node-a", "node-a")
    }


def test_a_drained_node_tells_how_much_left_it() -> None:
    found = node_drained("node-a", 7, 33.6, 50.0)

    assert found.detail == "drained: 7 endpoints left within 34 s"
    assert node_drained("node-a", 1, 2.0, 50.0).detail == "drained: 1 endpoint left within 2 s"
    assert (found.node, found.aspects) == ("node-a", (Aspect.DRAINED,))


def test_the_daemon_tells_that_it_started_and_where() -> None:
    found = prober_started("node-a", 1.0)

    assert (found.kind, found.node) == (ChangeKind.PROBER, "node-a")
    assert found.detail == "edgeprobe started on node-a"
