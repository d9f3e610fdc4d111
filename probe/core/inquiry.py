"""What an incident asks of the World: the verdict that holds, what to do, what went before it."""

from collections.abc import Iterable

from probe.core.advice import advice
from probe.core.changes import Change, ChangeKind
from probe.core.edges import PortKey
from probe.core.ledger import PortBook, ServiceRecord
from probe.core.verdicts import Judgement
from probe.core.world import World

PRECEDING_SECONDS = 600.0
"""A change explains what begins within ten minutes after it: a Deployment's default
progressDeadlineSeconds, after which its rollout counts as stuck."""

CAUSES = frozenset(
    {ChangeKind.SERVICE_EDIT, ChangeKind.SERVICE_ADDED, ChangeKind.ROLLOUT, ChangeKind.SCALE}
)
"""Changes by which people break things; endpoints only follow them."""


class WorldInquiry:
    """Answers from one World, of the moment of asking."""

    def __init__(self, world: World) -> None:
        self._world = world

    def judgement(self, key: PortKey) -> Judgement | None:
        found = self._find(key)
        return found and found[1].judgement

    def gone(self, key: PortKey) -> str:
        record = self._world.mirror.services.get((key.namespace, key.service))
        if record is None or record.service is None:
            return "the Service was deleted"
        return f"port {key.port} of the Service is no longer dialed"

    def advice(self, key: PortKey) -> tuple[str, ...]:
        found = self._find(key)
        if found is None or found[0].service is None:
            return ()
        rollouts = self._world.mirror.last_rollouts_of((key.namespace, key.service))
        return advice(found[0].service, found[1], rollouts)

    def change(self, key: PortKey, at: float) -> Change | None:
        return preceding(reversed(self._world.mirror.changes), key, at)

    def uid(self, namespace: str, service: str) -> str:
        """The Service's metadata.uid, "" if it is not known."""
        record = self._world.mirror.services.get((namespace, service))
        return record.service.uid if record is not None and record.service is not None else ""

    def _find(self, key: PortKey) -> tuple[ServiceRecord, PortBook] | None:
        record = self._world.mirror.services.get((key.namespace, key.service))
        book = record.books.get(key.port) if record is not None else None
        return None if record is None or book is None else (record, book)


def preceding(changes: Iterable[Change], key: PortKey, at: float) -> Change | None:
    """The last of the Service's changes, given newest first, that may have caused what began at
    that moment."""
    for change in changes:
        if change.at < at - PRECEDING_SECONDS:
            return None
        concerns = change.namespace == key.namespace and key.service in change.services
        if concerns and change.kind in CAUSES and change.at <= at:
            return change
    return None
