"""What happens in which order: drawn from a seed, the same every time."""

import random
from collections.abc import Container, Iterator, Sequence

from tests.soak.faults import FAULTS, Fault
from tests.soak.operations import NODES, OPERATIONS, Operation


def chance(seed: int, worker: str) -> random.Random:
    """Each worker's own, so that none depends on how quick the others are."""
    return random.Random(f"{seed} {worker}")


def operations(
    chance: random.Random, nodes: Sequence[str], lacks: Container[str] = ()
) -> Iterator[tuple[Operation, str]]:
    """For ever, but for what the ground `lacks`: a deck in which each stands as often as its
    share, shuffled anew each time it is through, so that none stays out for long."""
    possible = [each for each in OPERATIONS if each.name not in lacks]
    while True:
        deck = [operation for operation in possible for _ in range(operation.share)]
        chance.shuffle(deck)
        for operation in deck:
            target = chance.choice(operation.targets)
            yield operation, chance.choice(list(nodes)) if target == NODES else target


def faults(chance: random.Random, lacks: Container[str] = ()) -> Iterator[tuple[Fault, str]]:
    """For ever, each once in a round."""
    while True:
        deck = [fault for fault in FAULTS if fault.name not in lacks]
        chance.shuffle(deck)
        for fault in deck:
            yield fault, chance.choice(fault.targets)
