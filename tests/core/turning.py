"""Verdicts that turn, and incidents with their clock to take them."""

from dataclasses import dataclass, field

from probe.core.changes import Change, ChangeKind
from probe.core.edges import Author, PortKey
from probe.core.incident import Incident
from probe.core.incidents import Incidents
from probe.core.judging import Turn
from probe.core.ledger import NOT_JUDGED
from probe.core.verdicts import Judgement, Verdict

WEB, API, DB = (PortKey("shop", name, 80) for name in ("web", "api", "db"))
QUIET = 60.0
DEAD, GONE, ODD = "node/node-2", "the Service was deleted", "proxy/node-a"

HEALTHY = Judgement(Verdict.HEALTHY, "2 of 2 endpoints answer")
UNKNOWN = Judgement(Verdict.UNKNOWN, "0 of 2 endpoints dialed so far")
MASKED = Judgement(Verdict.MASKED, "a mesh accepts every port")
MISMATCH = Judgement(Verdict.PORT_MISMATCH, "set targetPort to 8080", port=8080)
REFUSED = Judgement(Verdict.NOT_LISTENING, "targetPort 8081 is refused on 2 of 2 endpoints")
DENIED = Judgement(Verdict.DENIED, "a reject rule answers")
ZERO = Judgement(Verdict.NO_ENDPOINTS, "scaled to zero", on_purpose=True)
CUT_OFF = Judgement(Verdict.NODE_PATH, "nothing on node-2 answers", cause=DEAD)
STALE = Judgement(Verdict.PROXY_STALE, "kube-proxy is behind", cause=ODD)

ADA = Author("ada", "2026-11-21T09:00:00Z")
EDIT = Change(90.0, ChangeKind.SERVICE_EDIT, "shop", "Service shop/web", "targetPort 8080 -> 8081")


@dataclass
class Desk:
    """Incidents with their clock: what each port's verdict is, and what was told. `known` is the
    change that explains what fails of `web` alone, `sure_after` are the seconds from the first
    failed dial to a verdict."""

    now: float = 100.0
    quiet: float = QUIET
    judgements: dict[PortKey, Judgement] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    known: Change | None = EDIT
    sure_after: float = 6.0
    asked: list[tuple[float, Verdict]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.incidents = Incidents("node-a", self, quiet_seconds=self.quiet)

    def judgement(self, key: PortKey) -> Judgement | None:
        return self.judgements.get(key)

    def gone(self, key: PortKey) -> str:
        return GONE

    def advice(self, key: PortKey) -> tuple[str, ...]:
        held = self.judgements.get(key)
        return (f"look at {key.service}: {held.verdict}",) if held else ()

    def began(self, incident: Incident) -> float:
        return incident.opened - self.sure_after

    def change(self, incident: Incident) -> Change | None:
        self.asked.append((incident.opened, incident.judgement.verdict))
        return self.known if incident.lead == WEB and incident.services == 1 else None

    def watched(self, incident: Incident) -> float:
        return self.began(incident)  # since 0.0

    def author(self, incident: Incident) -> Author | None:
        return ADA if incident.alone else None

    def turn(self, key: PortKey, new: Judgement) -> "Desk":
        old, self.judgements[key] = self.judgements.get(key, NOT_JUDGED), new
        self.incidents.take(Turn(key, self.now, old, new))
        return self

    def run(self, seconds: float) -> "Desk":
        for _ in range(round(seconds)):
            self.now += 1.0
            for step, incident in self.incidents.tick(self.now):
                whose = incident.cause or incident.lead.service
                self.told.append((f"{whose} {step}", str(incident.judgement.verdict)))
        return self

    @property
    def shown(self) -> list[Incident]:
        return self.incidents.told()

    @property
    def only(self) -> Incident:
        (found,) = self.shown
        return found
