"""What the API server fills into objects on their way in, so that clients may rely on it.

Only what clients look at: every value is the one a 1.36 API server fills in, but not every field
it fills in is here. Controllers that write to the store directly may use `fill` too.
"""

import base64
import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

from probe.sandbox.store import Store

Obj = dict[str, Any]

SERVICE_NETWORK = IPv4Network("127.96.0.0/16")
"""Cluster IPs of the sandbox: kubeadm's 10.96.0.0/16, moved to loopback."""

NODE_PORTS = range(30000, 32768)
"""--service-node-port-range of kube-apiserver, its default."""

INITIAL_STATUS: dict[str, Obj] = {
    "pods": {"phase": "Pending", "qosClass": "BestEffort"},
    "services": {"loadBalancer": {}},
    "namespaces": {"phase": "Active"},
    "replicasets": {"replicas": 0},
    "statefulsets": {"replicas": 0, "availableReplicas": 0},
    "daemonsets": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
}


def fill(resource: str, obj: Obj) -> None:
    """Fills in the defaults that need nothing but the object itself."""
    if filler := _FILLERS.get(resource):
        filler(obj)


class ServiceAddresses:
    """Hands out cluster IPs and node ports that no Service of the store has.

    Addresses go round: one that was just given back is the last to be given out again, so that
    an old connection does not meet a new Service.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._addresses = self._round()

    def cluster_ip(self) -> str:
        """An address of SERVICE_NETWORK. Raises RuntimeError when all are taken."""
        taken = {s.get("spec", {}).get("clusterIP") for s in self._store.list("services")}
        for _ in range(SERVICE_NETWORK.num_addresses):
            if (address := next(self._addresses)) not in taken:
                return address
        raise RuntimeError(f"no address is left in {SERVICE_NETWORK}")

    def node_port(self) -> int:
        taken = {
            port.get("nodePort")
            for service in self._store.list("services")
            for port in service.get("spec", {}).get("ports") or []
        }
        return random.choice([port for port in NODE_PORTS if port not in taken])

    @staticmethod
    def _round() -> Iterator[str]:
        while True:
            yield from map(str, SERVICE_NETWORK.hosts())


def give_addresses(
    service: Obj, cluster_ip: Callable[[], str], node_port: Callable[[], int]
) -> None:
    """Gives a Service the addresses that its type has and that it does not have yet."""
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = (spec.get("clusterIPs") or [""])[0] or cluster_ip()
    spec["clusterIPs"] = [spec["clusterIP"], *(spec.get("clusterIPs") or [])[1:]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = node_port()


def keep_addresses(service: Obj, old: Obj) -> None:
    """Lets an update that names no addresses keep those the Service has, and its type allows."""
    spec, had = service["spec"], old["spec"]
    if spec["type"] == "ExternalName" or had.get("type") == "ExternalName":
        return
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if field in had:
            spec[field] = spec.get(field) or had[field]
    given = {(p.get("port"), p.get("protocol")): p.get("nodePort") for p in had.get("ports") or []}
    for port in spec.get("ports") or []:
        if spec["type"] == "ClusterIP":
            port.pop("nodePort", None)
        elif number := port.get("nodePort") or given.get((port.get("port"), port["protocol"])):
            port["nodePort"] = number


def _service(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    if spec.setdefault("sessionAffinity", "None") == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    if not spec.get("ports"):
        spec.pop("ports", None)
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _endpoint_slice(obj: Obj) -> None:
    # The API has no omitempty on them: clients see a null.
    obj.setdefault("endpoints", None)
    obj.setdefault("ports", None)
    for port in obj.get("ports") or []:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _namespace(obj: Obj) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])


def _node(obj: Obj) -> None:
    obj.setdefault("spec", {})


def _pod(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    _pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("priority", 0)


def _pod_spec(spec: Obj) -> None:
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


def _container(container: Obj) -> None:
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    container.setdefault("resources", {})
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            _probe(probe)
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    tag = container.get("image", "").rpartition("/")[2].partition(":")[2]
    latest = tag in ("", "latest") and "@" not in container.get("image", "")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")


def _probe(probe: Obj) -> None:
    numbers = {
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    for field, value in numbers.items():
        probe.setdefault(field, value)
    if get := probe.get("httpGet"):
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")
    if call := probe.get("grpc"):
        call.setdefault("service", "")


def _template(obj: Obj) -> Obj:
    spec: Obj = obj.setdefault("spec", {})
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    return spec


def _deployment(obj: Obj) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _replica_set(obj: Obj) -> None:
    _template(obj).setdefault("replicas", 1)


def _stateful_set(obj: Obj) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("serviceName", "")
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)


def _daemon_set(obj: Obj) -> None:
    spec = _template(obj)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _secret(obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


_FILLERS: dict[str, Callable[[Obj], None]] = {
    "services": _service,
    "endpointslices": _endpoint_slice,
    "namespaces": _namespace,
    "nodes": _node,
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replica_set,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
    "secrets": _secret,
}
