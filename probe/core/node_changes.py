"""What changed of nodes, and of the daemon that is on one."""

from collections.abc import Iterator
from math import ceil

from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.edges import Author
from probe.core.meta import newly
from probe.core.nodes import Node

SILENT = "NodeStatusUnknown"
"""The reason of a Ready condition that the node controller wrote in the kubelet's place."""


def node_changes(old: Node | None, new: Node | None, at: float) -> Iterator[Change]:
    """Nodes that came, went, fell, recovered, were cordoned or are being taken away. Conditions
    are the kubelet's or the node controller's: only what people and autoscalers write has `by`."""
    if new is None:
        assert old is not None
        yield _change(old.name, "removed", at, Aspect.REMOVED)
    elif old is None:
        yield _change(new.name, "added" if new.ready else "added, NotReady", at)
    else:
        author = newly(old.author, new.author)
        if new.ready and not old.ready:
            yield _change(new.name, "Ready", at)
        elif old.ready and not new.ready:
            yield _change(new.name, _not_ready(new), at, Aspect.NOT_READY)
        if old.schedulable and not new.schedulable:
            yield _change(new.name, "cordoned", at, Aspect.CORDONED, author)
        elif new.schedulable and not old.schedulable:
            yield _change(new.name, "uncordoned", at)  # it removes a field: see newly()
        if new.leaving and new.leaving != old.leaving:
            yield _change(new.name, f"being removed: {new.leaving}", at, Aspect.LEAVING, author)


def node_drained(node: str, endpoints: int, seconds: float, at: float) -> Change:
    """A cordoned node that these endpoints have left since it was cordoned."""
    noun = "endpoint" if endpoints == 1 else "endpoints"
    detail = f"drained: {endpoints} {noun} left within {ceil(seconds)} s"
    return _change(node, detail, at, Aspect.DRAINED)


def prober_started(node: str, at: float) -> Change:
    """Our own start: what is seen right after it may have begun before."""
    detail = f"edgeprobe started on {node}"
    return Change(at, ChangeKind.PROBER, "", f"Node {node}", detail, node=node)


def _not_ready(node: Node) -> str:
    silent = "its kubelet stopped posting its status"
    reason = silent if node.trouble == SILENT else node.trouble
    return f"NotReady: {reason}" if reason else "NotReady"


def _change(
    node: str, detail: str, at: float, aspect: Aspect | None = None, author: Author | None = None
) -> Change:
    return Change(
        at,
        ChangeKind.NODE,
        "",
        f"Node {node}",
        detail,
        by=author.manager if author else None,
        time=author.time if author else None,
        node=node,
        aspects=(aspect,) if aspect else (),
    )
