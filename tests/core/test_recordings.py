"""Recordings of a real API server, read as the daemon reads them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.core import kube
from probe.core.edges import EndpointSlice, Kind, Scope, Service, Skip, implied
from probe.core.rounds import Config
from probe.core.world import World

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
RESOURCES = {resource.name: resource for resource in kube.RESOURCES}


def fact(resource: str, obj: dict[str, Any]) -> Any:
    found = RESOURCES[resource]
    return found.fact(msgspec.json.decode(json.dumps(obj).encode(), type=found.wire))


def shapes() -> dict[str, tuple[Service, list[EndpointSlice]]]:
    read = json.loads((CAPTURES / "shapes.json").read_text())
    slices = [fact("endpointslices", s) for s in read["endpointslices"]]
    services = [fact("services", s) for s in read["services"]]
    return {s.name: (s, [held for held in slices if held.service == s.name]) for s in services}


@pytest.mark.parametrize(
    ("name", "vips", "ports", "skipped"),
    [
        ("backend-v1", 1, [8080], ()),
        ("headless", 0, [80], ()),
        ("external", 0, [], (Skip.EXTERNAL_NAME,)),
        ("nodeport", 1, [80], ()),
        ("local-only", 1, [80], ()),
        ("manual", 0, [5432], (Skip.MANUAL,)),
    ],
)
def test_recorded_services_of_every_shape(
    name: str, vips: int, ports: list[int], skipped: tuple[Skip, ...]
) -> None:
    service, slices = shapes()[name]
    found = implied(service, slices, Scope())
    edges = [e for p in found.ports for e in p.cluster_ips]

    assert (vips, ports) == (len(edges), [p.key.port for p in found.ports])
    assert set(found.skipped) == set(skipped)
    assert {e.kind for e in edges} <= {Kind.SERVICE}


def test_21_of_a_recorded_service_with_udp_only_tcp_is_dialed() -> None:
    service, slices = shapes()["mixed"]
    found = implied(service, slices, Scope())

    assert Skip.UDP in found.skipped
    assert {p.port.protocol for p in found.ports} == {"TCP"}


def test_a_recorded_service_that_publishes_unready_addresses() -> None:
    service, slices = shapes()["unready"]

    assert service.publish_not_ready
    assert all(e.ready for s in slices for e in s.endpoints if not e.terminating)


def recording() -> Iterator[tuple[float, kube.Event]]:
    for line in (CAPTURES / "backend-v1.jsonl").read_text().splitlines():
        event = json.loads(line)
        found = fact(event["resource"], event["object"])
        if event["type"] == "DELETED":
            yield event["at"], kube.Removed(event["resource"], found.namespace, found.name)
        else:
            yield event["at"], kube.Stored(event["resource"], found)


def test_a_recorded_cluster_tells_its_changes_and_their_authors() -> None:
    world = World(Config("node-a"), 0.0)
    for resource in kube.RESOURCES:
        world.apply(kube.Listed(resource.name, ()), 0.0)
    found = [change for at, event in recording() for change in world.apply(event, at)]

    assert [
        (str(c.kind), c.detail, c.by) for c in found if c.kind not in ("endpoint", "rollout_end")
    ] == [
        ("scale", "created, replicas: 0 -> 2", "argocd-controller"),
        ("service_added", "ports 8080 (targetPort 8080)", "argocd-controller"),
        ("service_edit", "port 8080: targetPort 8080 -> 8081", "argocd-controller"),
        ("service_edit", "port 8080: targetPort 8081 -> 8080", "kubectl-patch"),
        ("rollout", "restarted", "kubectl-rollout"),
        ("scale", "replicas: 2 -> 0", None),
        ("scale", "replicas: 0 -> 3", None),
        ("rollout", "probes changed", "kubectl-patch"),
        ("rollout", "rolled back to revision 2: probes changed", None),
        ("scale", "deleted, replicas: 3 -> 0", None),
        ("service_removed", "deleted", None),
    ]
    assert not world.mirror.services
    assert not world.mirror.workloads


def test_a_recorded_rollout_lasts_while_its_old_pods_terminate() -> None:
    """Its status is complete before the last of them has gone."""
    world = World(Config("node-a"), 0.0)
    for resource in kube.RESOURCES:
        world.apply(kube.Listed(resource.name, ()), 0.0)
    early = [
        at
        for at, event in recording()
        for _ in [world.apply(event, at)]
        for rollout in world.mirror.rollouts.values()
        if rollout.ended is None and world.mirror.workloads[rollout.workload].complete
    ]

    assert early
