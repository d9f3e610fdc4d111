"""What a check's documents count for: in its verdict and exit code, as test cases, in a list.

A failure counts, and so does what could not be told. What is so on purpose does not: no Service
that somebody scaled to zero, or that no rule lets us dial (UDP, ExternalName, opted out, MySQL),
may stop a pipeline that asks for all of them. But nothing was learnt of it either: asked for by
its name, or if there is nothing else, it is not healthy.
"""

from collections.abc import Collection
from typing import Any

from probe.core.report import worst
from probe.core.verdicts import Verdict

Json = dict[str, Any]


def counts_as(judged: Json) -> Verdict | None:
    """Of a Service or a port of one: its verdict; `unknown` while its first pods start; None for
    what is so on purpose."""
    if judged.get("on_purpose"):
        return None
    return Verdict.UNKNOWN if judged.get("starting") else Verdict(judged["verdict"])


def verdict_of_all(documents: Collection[Json], *, silent: bool = False) -> Verdict:
    """The one verdict for these Services. If nodes that were asked are `silent`, or nothing
    counts, perhaps because of a typing error, nobody can call it healthy."""
    counted = [verdict for verdict in map(counts_as, documents) if verdict is not None]
    found = worst(counted) if counted else Verdict.UNKNOWN
    return Verdict.UNKNOWN if silent and found is Verdict.HEALTHY else found
