"""Which changes concern which Services.

Most name their Services. A node's concern those that have endpoints on it, or had as far as we
remember; a rollout of kube-proxy or of the network's agents concerns everybody. That we started
is told to nobody in particular.
"""

from probe.core.changes import Change, ChangeKind
from probe.core.edges import ServiceKey
from probe.core.mirror import Mirror

EVERYBODY = frozenset({ChangeKind.PROXY, ChangeKind.NETWORK})


class Relevance:
    """The remembered changes of one moment, by whom they concern; each answer is newest first."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._named: dict[ServiceKey, list[Change]] = {}
        self._around: list[Change] = []
        self._left: dict[ServiceKey, set[str]] = {}
        for known in mirror.newest_changes():
            if known.kind in EVERYBODY or known.kind is ChangeKind.NODE:
                self._around.append(known)
            for name in known.services:
                key = known.namespace, name
                self._named.setdefault(key, []).append(known)
                if known.kind is ChangeKind.ENDPOINT:
                    self._left.setdefault(key, set()).add(known.node)

    def of(self, key: ServiceKey) -> list[Change]:
        """Those that may explain something about this Service."""
        named = self._named.get(key, [])
        if not self._around:
            return named
        nodes = self._nodes(key)
        around = [c for c in self._around if c.kind in EVERYBODY or c.node in nodes]
        return sorted([*named, *around], key=lambda c: c.at, reverse=True)

    def within(self, namespace: str, service: str) -> list[Change]:
        """Those of a namespace, of Services of this name, or all of them where both are ""."""
        if not namespace and not service:
            return self._mirror.newest_changes()
        nodes = {
            node
            for key in self._mirror.services
            if self._around and namespace in ("", key[0]) and service in ("", key[1])
            for node in self._nodes(key)
        }
        return [
            c
            for c in self._mirror.newest_changes()
            if c.kind in EVERYBODY
            or (c.kind is ChangeKind.NODE and c.node in nodes)
            or (c.namespace and namespace in ("", c.namespace) and self._names(c, service))
        ]

    @staticmethod
    def _names(change: Change, service: str) -> bool:
        return not service or service in change.services

    def _nodes(self, key: ServiceKey) -> set[str]:
        record = self._mirror.services.get(key)
        held = {e.node for e in record.held_endpoints()} if record is not None else set()
        return held | self._left.get(key, set())
