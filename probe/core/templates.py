"""Pod templates as prints: four bytes for each aspect, so that a change can say what changed.

Whole templates are not kept: a thousand of them would be megabytes. What no aspect covers
(resources, volumes, affinity) is seen to have changed only by its pods being replaced.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from probe.core import wire

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` and all that imitate it write into the template."""

RESTART = "restart"
ASPECTS = (
    "images",
    RESTART,
    "init containers",
    "env",
    "command",
    "ports",
    "probes",
    "preStop",
    "labels",
    "annotations",
    "terminationGracePeriodSeconds",
)
"""In the order in which print_of has them."""

WIDTH = 4
"""Bytes of an aspect: of a billion changes one would be missed."""


def print_of(meta: wire.TemplateMeta, pod: wire.PodSpec) -> bytes:
    """The template's print. It compares within one process only: it is made of its hashes."""
    return b"".join(
        (hash(aspect) & 0xFFFFFFFF).to_bytes(WIDTH, "big") for aspect in _aspects(meta, pod)
    )


def changed(old: bytes, new: bytes) -> list[str]:
    """The names of the aspects in which two prints differ, in the order of ASPECTS."""
    return [
        name
        for i, name in enumerate(ASPECTS)
        if old[i * WIDTH : (i + 1) * WIDTH] != new[i * WIDTH : (i + 1) * WIDTH]
    ]


def _aspects(meta: wire.TemplateMeta, pod: wire.PodSpec) -> Iterator[Any]:
    containers, init = pod.containers or (), pod.initContainers or ()
    everyone = [*containers, *init]
    annotations = dict(meta.annotations or {})
    restarted = annotations.pop(RESTARTED_AT, "")
    yield tuple((c.name, c.image) for c in containers)
    yield restarted
    yield tuple((c.name, c.image, c.restartPolicy) for c in init)
    yield tuple((e.name, e.value) for c in everyone for e in c.env or ())
    yield tuple((*(c.command or ()), None, *(c.args or ())) for c in everyone)
    yield tuple((p.name, p.containerPort, p.protocol) for c in everyone for p in c.ports or ())
    yield tuple(
        probe for c in everyone for probe in (c.readinessProbe, c.livenessProbe, c.startupProbe)
    )
    yield tuple(c.lifecycle and c.lifecycle.preStop for c in everyone)
    yield tuple(sorted((meta.labels or {}).items()))
    yield tuple(sorted(annotations.items()))
    yield pod.terminationGracePeriodSeconds


REVISIONS_KEPT = 10
"""Earlier templates remembered of a workload: a Deployment's default revisionHistoryLimit, which is
as far back as `kubectl rollout undo` goes."""

WORKLOADS_KEPT = 1000
"""Workloads of which earlier templates are remembered, those that changed last. Arbitrary: 2 MB."""

Key = tuple[str, str, str]


class Revisions:
    """Templates that workloads had before our eyes, with their revisions."""

    def __init__(self) -> None:
        self._kept: dict[Key, deque[tuple[bytes, str]]] = {}

    def replaced(self, key: Key, old: bytes, revision: str, new: bytes) -> str | None:
        """Remembers the `old` template, which the new one replaces. The revision that had the new
        one before: "" if its number is not known, None if none had it.

        `revision` is what the workload said of itself until now. A Deployment's number follows its
        template only a moment later, so that of two edits at once the second has none.
        """
        kept = self._kept.pop(key, None) or deque(maxlen=REVISIONS_KEPT)
        earlier = next((number for print_, number in reversed(kept) if print_ == new), None)
        taken = any(number == revision for _, number in kept)
        kept.append((old, "" if taken else revision))
        self._kept[key] = kept
        if len(self._kept) > WORKLOADS_KEPT:
            del self._kept[next(iter(self._kept))]
        return earlier

    def forget(self, key: Key) -> None:
        self._kept.pop(key, None)
