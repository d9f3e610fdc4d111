"""The daemons' pods, and one question to one of them over the API server's pod proxy.

That works wherever kubectl does: the API server reaches the pods, whoever asks need not. It takes
`list` on pods and `get` and `create` on pods/proxy, in the daemons' namespace.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from probe.apiserver.exchange import Exchange
from probe.apiserver.refusals import Status
from probe.core import wire
from probe.core.kube import Resource
from probe.core.meta import BadObject
from probe.reflector import ApiError, Connection, Unreachable
from probe.settings import Settings, SettingsError
from probe.told import KEY_HEADER, printable

SELECTOR = "app.kubernetes.io/name=edgeprobe"
"""The label of the daemons' pods in deploy/probe.yaml."""

PORT = 9797
"""Where a daemon listens whose pod declares no port named http."""

NEEDED = (
    "grant list on pods, and get and create on pods/proxy, there, or dial from here: --from here"
)

LIVE_SECONDS = 5.0
"""For a daemon to say that it is there: nobody should wait long for a node that is away, while the
others take their time to confirm a failure. Three SYNs (at 0, 1 and 3 s) fit in."""

AGAIN = 1.0
"""Seconds until a daemon that is busy is asked again, unless it says."""

ANSWER_MAX = 256 * 2**20
"""Bytes of one answer; 3 KB for each Service with a few endpoints (measured), so 80,000 of them."""


class Silent(Exception):
    """A daemon does not answer; the text is the reason, half a sentence, fit for a terminal: the
    daemon's own words may be in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))


class Forbidden(Silent):
    """Who asks is forbidden to: by the API server, and then for all daemons, or by a pod that only
    says the same. `refused` is the sentence of the first case."""

    def __init__(self, refused: ApiError) -> None:
        super().__init__(f"it is forbidden to ask it: {refused.message or refused.reason}")
        self.refused = refused


class Unknown(Exception):
    """A daemon knows nothing of what it is asked for."""


@dataclass(frozen=True, slots=True)
class DaemonPod:
    """One daemon; `node` is the pod's own name while it is on none.

    `fault` is why it cannot answer, "" if it may; `address` is "" until it has one; `on_host` is
    whether it shares its node's network, and so is no pod by its address.
    """

    namespace: str
    name: str
    node: str
    address: str
    port: int
    ready: bool
    fault: str
    on_host: bool


def _daemon_pod(obj: wire.Pod) -> DaemonPod:
    meta, spec, status = obj.metadata, obj.spec, obj.status or wire.PodStatus()
    if spec is None:
        raise BadObject("spec is null")
    deleting = meta.deletionTimestamp is not None
    ports = [p for c in spec.containers or () for p in c.ports or () if p.name == "http"]
    fault = "is being deleted" if deleting else f"is {status.phase or 'not running'}"
    return DaemonPod(
        namespace=meta.namespace,
        name=meta.name,
        node=spec.nodeName or meta.name,
        address=status.podIP or "",
        port=ports[0].containerPort if ports else PORT,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        fault="" if status.phase == "Running" and not deleting else f"its pod {meta.name} {fault}",
        on_host=bool(spec.hostNetwork),
    )


DAEMON_PODS = Resource("pods", "v1", wire.Pod, _daemon_pod)


class PodProxy:
    """The way to the daemons. Their key goes to the namespace that the settings name, no further:
    anybody may label a pod."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._key = settings.api_key
        self._home = settings.peers.partition("/")[0]

    async def find(self) -> list[DaemonPod]:
        """The daemons, one per node, by node: those in the namespace of the setting `peers`; if
        there are none, those in another one, as far as we may look.

        Raises ApiTrouble, of which ApiError says what rights are missing, and SettingsError.
        """
        pods = await self._listed(self._home) if self._home else []
        if not pods:
            with suppress(ApiError):  # whoever may look into one namespace only
                pods = await self._listed("")
        namespaces = sorted({pod.namespace for pod in pods})
        if len(namespaces) > 1:
            raise SettingsError(
                f"daemons are in the namespaces {', '.join(namespaces)}: "
                "say which by PROBE_PEERS=NAMESPACE/SERVICE"
            )
        by_node: dict[str, DaemonPod] = {}
        for pod in sorted(pods, key=lambda pod: (bool(pod.fault), not pod.ready, pod.name)):
            by_node.setdefault(pod.node, pod)
        return [by_node[node] for node in sorted(by_node)]

    async def _listed(self, namespace: str) -> list[DaemonPod]:
        try:
            found, _ = await self._connection.list(DAEMON_PODS, namespace, labelSelector=SELECTOR)
        except ApiError as refused:
            if refused.code == HTTPStatus.FORBIDDEN:
                raise _forbidden("list pods", namespace, refused) from None
            raise
        return list(found.facts)

    async def alive(self, pod: DaemonPod) -> None:
        """Returns if the daemon answers at all. Raises Silent and Unknown."""
        await self.ask(pod, "/livez", seconds=LIVE_SECONDS)

    async def ask(
        self,
        pod: DaemonPod,
        path: str,
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        seconds: float,
    ) -> bytes:
        """What the daemon answers, within `seconds`; one that is busy is asked again.

        Raises Silent, which is Forbidden where we may not ask, and Unknown.
        """
        if pod.fault:
            raise Silent(pod.fault)
        where = f"/api/v1/namespaces/{pod.namespace}/pods/http:{pod.name}:{pod.port}/proxy{path}"
        key = {KEY_HEADER: self._key} if self._key and pod.namespace == self._home else {}
        asked = Exchange(
            method, where, query or {}, headers=key, seconds=2 * seconds, most=ANSWER_MAX
        )
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(pod, asked)
        except TimeoutError:
            raise Silent(f"no answer within {seconds:g} s") from None

    async def _answer(self, pod: DaemonPod, asked: Exchange) -> bytes:
        while True:
            try:
                return await self._connection.exchange(asked, _refusal)
            except ApiError as refused:
                if refused.code != HTTPStatus.TOO_MANY_REQUESTS:
                    raise _meaning(refused, pod) from None
                await asyncio.sleep(refused.retry_after or AGAIN)
            except Unreachable as failed:
                raise Silent(str(failed)) from None


def _refusal(status: Status, retry_after: float | None) -> ApiError:
    return ApiError(status.message, status, retry_after)


def _meaning(refused: ApiError, pod: DaemonPod) -> Exception:
    """What a refusal means. The API server gives a reason with its own; the daemon gives none, but
    what is no daemon may: what is said here holds for this pod only."""
    if refused.reason:
        if refused.code == HTTPStatus.FORBIDDEN:
            return Forbidden(_forbidden("use pods/proxy", pod.namespace, refused))
        return Silent(f"the API server says: {refused.message or refused.reason}")
    match refused.code:
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return Unknown()
        case HTTPStatus.UNAUTHORIZED:
            where = f"where it is not edgeprobe, PROBE_PEERS={pod.namespace}/SERVICE"
            return Silent(f"it wants its key: set PROBE_API_KEY and, {where}")
        case code:
            return Silent(f"it answers {code} {refused.message}".rstrip())


def _forbidden(what: str, namespace: str, refused: ApiError) -> ApiError:
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    sentence = f"the API server forbids us to {what} {where}, to ask the daemons: {NEEDED}"
    return ApiError(sentence, Status(refused.code, refused.reason, refused.message))
