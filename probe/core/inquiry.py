"""What an incident asks of the World: the verdict that holds, what to do, what explains it."""

from probe.core import scenes
from probe.core.advice import advice
from probe.core.changes import Change
from probe.core.edges import Author, PortKey
from probe.core.incident import Incident
from probe.core.ledger import PortBook, ServiceRecord
from probe.core.verdicts import Judgement
from probe.core.world import World


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
        mirror, service = self._world.mirror, found[0].service
        rollouts = mirror.last_rollouts_of((key.namespace, key.service))
        return advice(service, found[1], rollouts, mirror.workloads_of(service))

    def began(self, incident: Incident) -> float:
        return scenes.began(self._world, incident.ports.keys(), incident.opened)

    def change(self, incident: Incident) -> Change | None:
        ports = incident.ports.keys()
        return scenes.explanation(self._world, ports, incident.judgement, incident.began)

    def watched(self, incident: Incident) -> float:
        return max(0.0, incident.began - self._world.started)

    def author(self, incident: Incident) -> Author | None:
        found = self._find(incident.lead) if incident.alone else None
        return found[0].service.author if found and found[0].service else None

    def uid(self, namespace: str, service: str) -> str:
        """The Service's metadata.uid, "" if it is not known."""
        record = self._world.mirror.services.get((namespace, service))
        return record.service.uid if record is not None and record.service is not None else ""

    def _find(self, key: PortKey) -> tuple[ServiceRecord, PortBook] | None:
        record = self._world.mirror.services.get((key.namespace, key.service))
        book = record.books.get(key.port) if record is not None else None
        return None if record is None or book is None else (record, book)
