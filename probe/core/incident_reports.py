"""Incidents -> the JSON documents of the API: what this node sees and saw.

The shapes are interfaces, as those of `report`; times are RFC 3339.
"""

from itertools import islice
from typing import Any

from probe.core.incident import SERVICES_KEPT, Incident
from probe.core.incidents import Incidents
from probe.core.moments import Clock, rfc3339
from probe.core.report import explained

Json = dict[str, Any]


def incidents(
    found: Incidents,
    node: str,
    now: float,
    clock: Clock,
    *,
    since: float | None = None,
    namespace: str = "",
    service: str = "",
) -> Json:
    """What this node sees and saw: open ones first, the newest first; those that were open at some
    time in the last `since` seconds, and concern such Services. "incidents" is an iterator, as of
    `services`; "untracked" counts failing Service ports for which there was no room."""

    def meant(known: Incident) -> bool:
        if since is not None and known.closed is not None and known.closed < now - since:
            return False
        return (not namespace and not service) or any(
            namespace in ("", key[0]) and service in ("", key[1]) for key in known.taken()
        )

    return {
        "node": node,
        "incidents": (incident(known, node, now, clock) for known in found.told() if meant(known)),
        "untracked": len(found.untracked),
    }


def incident(known: Incident, node: str, now: float, clock: Clock) -> Json:
    """One incident. "kind" of its cause is service, node, proxy or self; "services" names some of
    those that it takes along, "service_count" counts them all. A "change" of the time before its
    "watched_seconds" is not known; "last_write" is its Service's, as it began."""
    kind, _, name = known.cause.partition("/")
    author = known.author
    services = islice(known.taken().items(), SERVICES_KEPT)

    def time(at: float | None) -> str | None:
        return None if at is None else rfc3339(clock(at))

    return {
        "id": known.id,
        "state": "open" if known.closed is None else "closed",
        "cause": {"kind": kind or "service", "name": name or "/".join(known.lead[:2])},
        "verdict": str(known.judgement.verdict),
        "first_verdict": str(known.first),
        "worst_verdict": str(known.worst),
        "summary": known.judgement.summary,
        "services": [
            {"namespace": key[0], "name": key[1], "ports": ports} for key, ports in services
        ],
        "service_count": known.services,
        "most_services": known.most,
        "opened": time(known.opened),
        "updated": time(known.updated),
        "closed": time(known.closed),
        "seconds": round((now if known.closed is None else known.closed) - known.opened, 1),
        "quiet_since": time(known.quiet_since) if known.closed is None else None,
        "evidence_away_since": time(known.away_since),
        "flaps": known.flaps,
        "ending": known.ending if known.closed is not None else None,
        **explained(known.change, known.seconds_before, clock),
        "watched_seconds": None if known.watched is None else round(known.watched, 1),
        "last_write": author and {"by": author.manager, "time": author.time},
        "advice": list(known.advice),
        "node": node,
    }
