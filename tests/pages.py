"""A page of /metrics as a test reads it: of a Story's World, sample by sample."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from probe.metrics import MAX_SERIES, Metrics
from tests.core.facts import NODE, Story

UNIX = 1_800_000_000.0
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Status:
    """What a reflector tells of itself."""

    synced: bool = True
    last_contact_time: float | None = UNIX
    skipped: Mapping[str, int] = field(default_factory=dict)


def page(story: Story, metrics: Metrics | None = None) -> str:
    return b"".join((metrics or exposing(story)).chunks(story.now)).decode()


def exposing(
    story: Story, clock: Callable[[], float] = lambda: 0.0, max_series: int = MAX_SERIES
) -> Metrics:
    statuses = {"services": Status(skipped={"bad_object": 2}), "deployments": Status(False, None)}
    return Metrics(
        story.world,
        statuses,
        vantage="pod",
        unix=lambda at: UNIX + at - 1000,
        clock=clock,
        max_series=max_series,
    )


def read(text: str) -> Samples:
    """Every sample by name and labels, `node` left out; none may stand there twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "node"}
            assert sample.labels["node"] in (NODE, 'n"o\\d\ne')
            key = sample.name, frozenset(labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"edgeprobe_{name}", frozenset(labels.items())))


def named(samples: Samples, name: str) -> Samples:
    return {key: v for key, v in samples.items() if key[0] == f"edgeprobe_{name}"}
