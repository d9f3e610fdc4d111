"""The daemons as vantages: asks all of them what their nodes see, and merges the answers.

One that does not answer is named with its reason and hides no other. How one is asked: podproxy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Never, TypeVar

import msgspec

from probe.absent import NAME, NotFound, missing, miswritten
from probe.check import Selection, chosen_services
from probe.core import kube
from probe.core.edges import ServiceKey
from probe.core.merging import merged, merged_changes, merged_incidents
from probe.gathered import Gathered
from probe.podproxy import SELECTOR, DaemonPod, Forbidden, PodProxy, Silent, Unknown
from probe.reflector import ApiError, Connection, Unreachable
from probe.settings import Settings
from probe.told import Change, Document, Incident, Rollouts, Unreadable, read

Json = dict[str, Any]
Told = TypeVar("Told")

AT_ONCE = 50
"""Daemons asked at a time; each is a connection to the API server. 500 nodes that take a second
each are asked in ten. Arbitrary."""

CHECK_SECONDS = 30.0
"""For a daemon to dial a Service and answer: it takes 25 s at most (probe/ondemand.py)."""

LIST_AT_ONCE = 10
LIST_SECONDS = 60.0
"""The same for the whole list of a daemon's Services, 3 MB for a thousand of them."""


class NoDaemons(NotFound):
    """There is no daemon to ask, or none on the node that was named."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the daemons answered.

    `documents` are of the shape of `probe check svc -o json`, one per Service by namespace and
    name, each merged from all nodes. `nodes` are those that answered, by name; `silent` the
    others, with the reason of each as half a sentence.
    """

    documents: list[Json]
    nodes: list[str]
    silent: dict[str, str] = field(default_factory=dict)


async def from_nodes(
    connection: Connection, settings: Settings, selection: Selection, node: str | None = None
) -> Asked:
    """Asks every daemon, or the one on `node`, and merges what they say.

    A named Service is dialed anew by each of them; all Services are told as they stand.
    Raises NoDaemons, NotFound if no daemon knows the Service and there is none, BadSelector,
    SettingsError, and ApiTrouble: ApiError where the API server forbids the asking, Unreachable
    if no daemon answers or none watches the Service.
    """
    _check_name(selection)
    proxy = PodProxy(connection, settings)
    pods = await _daemons(proxy, node)
    if selection.name is None:
        chosen = await _chosen(connection, selection)
        return await _all_services(proxy, pods, selection.namespace, chosen)

    async def check(pod: DaemonPod) -> Json:
        return await _checked(proxy, pod, selection)

    answers, silent = await _from_each(proxy, pods, check)
    if not answers:
        await _explain(connection, selection, pods, silent)
    return Asked([merged(answers.values(), silent)], sorted(answers), silent)


async def incidents_from_nodes(
    connection: Connection, settings: Settings, selection: Selection, since_seconds: float
) -> Json:
    """The incidents and changes of the last seconds, as all daemons remember them together:
    {"incidents": [...], "changes": [...], "nodes": [...], "silent": {...}}, newest first, open
    incidents before the others. They are those of the named Service, or else of the namespaces.
    Raises as `from_nodes` does.
    """
    _check_name(selection)
    proxy = PodProxy(connection, settings)
    pods = await _daemons(proxy, None)
    scope = {"namespace": selection.namespace, "service": selection.name or ""}
    query = {"since": f"{since_seconds:g}"} | {k: v for k, v in scope.items() if v}

    async def ask(pod: DaemonPod) -> tuple[list[Json], list[Json]]:
        incidents = await _ask(proxy, pod, "/api/v1/incidents", _Incidents, query)
        changes = await _ask(proxy, pod, "/api/v1/changes", _Changes, query)
        return incidents["incidents"], changes["changes"]

    answers, silent = await _from_each(proxy, pods, ask)
    if not answers:
        raise _nobody(pods, silent)
    names = await _chosen(connection, selection)
    incidents = [i for found, _ in answers.values() for i in found if _concerns(i, names)]
    return {
        "incidents": merged_incidents(incidents),
        "changes": merged_changes(change for _, found in answers.values() for change in found),
        "nodes": sorted(answers),
        "silent": silent,
    }


async def rollouts_from_nodes(
    connection: Connection,
    settings: Settings,
    workload: tuple[str, str, str],
    since_seconds: float,
    node: str | None = None,
) -> tuple[dict[str, list[Json]], dict[str, str]]:
    """The records (core/rollout_reports) of the workload's rollouts that were under way in the
    last seconds, newest first, as every daemon has them, or the one on `node`; by node, and the
    nodes that did not answer with the reason of each. `workload` is kind, namespace and name.

    Raises NoDaemons, SettingsError, and ApiTrouble, of which Unreachable if nobody answers.
    """
    kind, namespace, name = workload
    proxy = PodProxy(connection, settings)
    pods = await _daemons(proxy, node)
    query = {"namespace": namespace, "workload": f"{kind}/{name}", "since": f"{since_seconds:g}"}

    async def ask(pod: DaemonPod) -> list[Json]:
        try:
            answer = await _ask(proxy, pod, "/api/v1/rollouts", Rollouts, query)
        except Unknown:
            raise Silent("its daemon is too old to tell of rollouts") from None
        found: list[Json] = answer["rollouts"]
        return found

    answers, silent = await _from_each(proxy, pods, ask)
    if not answers:
        raise _nobody(pods, silent)
    return answers, silent


def _check_name(selection: Selection) -> None:
    """Raises NotFound for what can be no name, and would not stay where it belongs in a URL."""
    for name in (selection.name, selection.namespace or None):
        if name is not None and not NAME.fullmatch(name):
            raise miswritten(selection.namespace, selection.name or "")


async def _daemons(proxy: PodProxy, node: str | None) -> list[DaemonPod]:
    """Those to ask, at least one."""
    pods = await proxy.find()
    if not pods:
        raise NoDaemons(
            f"no pods are labelled {SELECTOR}, so there is no daemon to ask: "
            "install it (README, Run it on a cluster), or dial from here with --from here"
        )
    if node is None:
        return pods
    found = [pod for pod in pods if pod.node == node]
    if not found:
        known = ", ".join(pod.node for pod in pods)
        raise NoDaemons(f'no daemon runs on node "{node}": there is one on {known}')
    return found


async def _from_each(
    proxy: PodProxy,
    pods: list[DaemonPod],
    ask: Callable[[DaemonPod], Awaitable[Told]],
    at_once: int = AT_ONCE,
) -> tuple[dict[str, Told], dict[str, str]]:
    """The answers by node, and why the others gave none. Raises ApiError if asking is forbidden
    and nobody answers: where somebody does, not the API server forbids it but a single pod."""
    answers: dict[str, Told] = {}
    silent: dict[str, str] = {}
    forbidden: list[ApiError] = []
    turn = asyncio.Semaphore(at_once)

    async def one(pod: DaemonPod) -> None:
        async with turn:
            try:
                await proxy.alive(pod)
                answers[pod.node] = await ask(pod)
            except Silent as reason:
                silent[pod.node] = str(reason)
                if isinstance(reason, Forbidden):
                    forbidden.append(reason.refused)
            except Unknown:
                silent[pod.node] = UNKNOWN

    async with asyncio.TaskGroup() as group:
        for pod in pods:
            group.create_task(one(pod))
    if forbidden and not answers and UNKNOWN not in silent.values():
        raise forbidden[0]
    return answers, dict(sorted(silent.items()))


UNKNOWN = "its daemon does not know the Service"


async def _checked(proxy: PodProxy, pod: DaemonPod, selection: Selection) -> Json:
    """The Service, dialed anew by that daemon; as it stands, by one too old for that. Raises
    Silent for another one: what we ask the API server next goes by the names in the answer."""
    where = f"{selection.namespace}/{selection.name}"
    try:
        found = await _ask(proxy, pod, f"/api/v1/check/{where}", Document, method="POST")
    except Unknown:
        found = await _ask(proxy, pod, f"/api/v1/services/{where}", Document)
    if found["service"] != {"namespace": selection.namespace, "name": selection.name}:
        raise Silent("it answers for another Service")
    return found


async def _ask(
    proxy: PodProxy,
    pod: DaemonPod,
    path: str,
    shape: type,
    query: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
) -> Json:
    """The daemon's answer, as far as the shape goes. Raises Silent and Unknown."""
    return _read(
        await proxy.ask(pod, path, method=method, query=query, seconds=CHECK_SECONDS), shape
    )


def _read(body: bytes, shape: type) -> Json:
    try:
        return read(body, shape)
    except Unreadable as wrong:
        raise Silent(str(wrong)) from None


class _Incidents(msgspec.Struct):
    incidents: list[Incident]


class _Changes(msgspec.Struct):
    changes: list[Change]


async def _all_services(
    proxy: PodProxy, pods: list[DaemonPod], namespace: str, chosen: set[ServiceKey] | None
) -> Asked:
    """Every Service of the namespace ("" for all), or those of them that were chosen, as the
    daemons tell them without dialing for us."""
    query = {"namespace": namespace} if namespace else {}

    def wanted(key: ServiceKey) -> bool:
        return namespace in ("", key[0]) and (chosen is None or key in chosen)

    gathered = Gathered(wanted)

    async def ask(pod: DaemonPod) -> None:
        body = await proxy.ask(pod, "/api/v1/services", query=query, seconds=LIST_SECONDS)
        try:
            await gathered.take(body)
        except Unreadable as wrong:
            raise Silent(str(wrong)) from None

    answers, silent = await _from_each(proxy, pods, ask, LIST_AT_ONCE)
    if not answers:
        raise _nobody(pods, silent)
    documents = []
    for told in gathered.documents():
        documents.append(merged(told, silent))
        await asyncio.sleep(0)  # seconds in a large cluster, in which somebody watches the progress
    return Asked(documents, sorted(answers), silent)


async def _chosen(connection: Connection, selection: Selection) -> set[ServiceKey] | None:
    """The Services that the label selector chooses, by the API server; None without one."""
    if not selection.selector:
        return None
    return {(s.namespace, s.name) for s in await chosen_services(connection, selection)}


def _concerns(incident: Json, names: set[ServiceKey] | None) -> bool:
    services = incident["services"]
    return names is None or any((s["namespace"], s["name"]) in names for s in services)


async def _explain(
    connection: Connection, selection: Selection, pods: list[DaemonPod], silent: dict[str, str]
) -> Never:
    """Raises what tells best why nobody answered for a Service."""
    if UNKNOWN not in silent.values():
        raise _nobody(pods, silent)
    if not await chosen_services(connection, selection):
        namespace, name = selection.namespace, selection.name or ""
        raise await missing(connection, kube.SERVICES, "Service", namespace, name)
    raise Unreachable(
        f"no daemon watches Service {selection.namespace}/{selection.name}: "
        "see their setting namespaces, or dial from here with --from here"
    )


def _nobody(pods: list[DaemonPod], silent: dict[str, str]) -> Unreachable:
    node, reason = next(iter(silent.items()))
    others = f", and {len(pods) - 1} more do not answer" if len(pods) > 1 else ""
    return Unreachable(f"the daemon on node {node} does not answer: {reason}{others}")
