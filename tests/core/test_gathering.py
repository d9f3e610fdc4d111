from probe.core.edges import PortEdges
from probe.core.gathering import evidence
from probe.core.ledger import (
    PortBook,
    ServiceRecord,
)
from tests.core.books import VIEW
from tests.core.facts import (
    KEY,
    port,
)


def test_evidence_of_a_port_without_edges_is_empty() -> None:
    found = PortBook(PortEdges(KEY, port(), (), (), (), frozenset(), ()))
    said = evidence(ServiceRecord(), found, VIEW, scaled_to_zero=False)

    assert (said.usable, said.expected, said.vips, said.has_selector) == (0, 0, 0, False)
