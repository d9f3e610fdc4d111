"""Daemons that run outside of the sandbox but watch it, shown as endpoints of their own Service.

In a cluster a DaemonSet and its headless Service do this. Here a watch connection is the sign of
life: as long as a daemon has one open, it is an endpoint.
"""

import re
from collections import Counter

from probe.sandbox.index import SERVICE_NAME
from probe.sandbox.store import NotFound, Obj, Store

NAME = NAMESPACE = "edgeprobe"
PORT = 9797
"""Where a daemon serves by default (settings.listen)."""

_DAEMON = re.compile(r"edgeprobe/\S+ \(node (?P<node>[^)\s]+)\)")


class Peers:
    """Keeps the Service `edgeprobe/edgeprobe` and its slice; makes them for the first daemon."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watches: Counter[tuple[str, str]] = Counter()

    def connected(self, user_agent: str, remote: str) -> None:
        """A watch was opened from the address `remote`. Other clients than daemons are ignored."""
        if daemon := _DAEMON.match(user_agent):
            self._count(daemon["node"], remote, +1)

    def disconnected(self, user_agent: str, remote: str) -> None:
        """A watch that was reported by `connected` is over."""
        if daemon := _DAEMON.match(user_agent):
            self._count(daemon["node"], remote, -1)

    def _count(self, node: str, address: str, change: int) -> None:
        before = set(self._watches)
        self._watches[node, address] += change
        if self._watches[node, address] <= 0:
            del self._watches[node, address]
        if set(self._watches) != before:
            self._publish()

    def _publish(self) -> None:
        for resource, obj in (
            ("namespaces", _namespace()),
            ("services", _service()),
            ("endpointslices", _slice(sorted(self._watches))),
        ):
            self._put(resource, obj)

    def _put(self, resource: str, obj: Obj) -> None:
        meta = obj["metadata"]
        try:
            held = self._store.get(resource, meta.get("namespace", ""), meta["name"])
        except NotFound:
            self._store.create(resource, obj)
        else:
            if resource == "endpointslices":
                self._store.update(resource, held | {"endpoints": obj["endpoints"]})


def _namespace() -> Obj:
    labels = {"kubernetes.io/metadata.name": NAMESPACE}
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": NAMESPACE, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _service() -> Obj:
    port = {"name": "http", "protocol": "TCP", "port": PORT, "targetPort": PORT}
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "annotations": {"edgeprobe.dev/probe": "false"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [port],
        },
        "status": {"loadBalancer": {}},
    }


def _slice(daemons: list[tuple[str, str]]) -> Obj:
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {SERVICE_NAME: NAME, "service.kubernetes.io/headless": ""},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": node,
            }
            for node, address in daemons
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": PORT}],
    }
