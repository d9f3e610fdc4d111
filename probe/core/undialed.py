"""TCP ports that are not dialed lest they do harm (Skip.BLOCKS_HOSTS): what their slices tell.

Whether anybody is behind such a port can be known without a dial; whether he answers cannot.
"""

from collections.abc import Iterator
from dataclasses import replace

from probe.core import verdicts
from probe.core.edges import Skip, implied, spoken
from probe.core.evidence import Evidence
from probe.core.expect import Place
from probe.core.ledger import PortBook, ServiceRecord
from probe.core.verdicts import Judgement, Verdict
from probe.core.world import World


def undialed(world: World, record: ServiceRecord, now: float) -> Iterator[PortBook]:
    """A book for each such port of the Service, without an edge to dial, judged at this moment:
    `unknown` if it has endpoints, else what the lack of them is."""
    if record.service is None or Skip.BLOCKS_HOSTS not in record.skipped:
        return
    scope = replace(world.config.scope, dial_blocking_ports=True)
    for port in implied(record.service, record.slices.values(), scope).ports:
        if port.key.port in record.books:
            continue
        barred = replace(port, cluster_ips=(), barred=frozenset(port.edges))
        book = PortBook(barred, since=max(record.since, record.edited_at))
        book.expect(Place(), local=False)
        book.judgement = _judged(world, record, book, now)
        yield book


def _judged(world: World, record: ServiceRecord, book: PortBook, now: float) -> Judgement:
    service, count = record.service, book.anywhere
    found = Evidence(
        target_port=str(book.implied.port.target_port),
        usable=count,
        undialed=count,
        invalid=tuple(invalid.text for invalid in book.implied.invalid),
        new=now - book.since < world.config.settle,
        backing=world.backing(record, book, now),
        unresolved=not book.implied.edges and any(e.ready for e in record.held_endpoints()),
        has_selector=service is not None and bool(service.selector),
    )
    judged = verdicts.judge(found)
    if count and judged.verdict is Verdict.UNKNOWN:
        said = f"{count} endpoint{'s' * (count > 1)}, not dialed: {spoken(Skip.BLOCKS_HOSTS)}"
        return replace(judged, summary=said)
    return judged
