"""The resources that the sandbox's API server serves: one literal table."""

from dataclasses import dataclass

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, in the words of API discovery. The store knows it by `plural`."""

    group: str
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    scale: bool = False
    categories: tuple[str, ...] = ()
    version: str = "v1"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it: `deployments.apps`, `services`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def subresources(self) -> tuple[str, ...]:
        return (*(("scale",) if self.scale else ()), *(("status",) if self.status else ()))


ALL = ("all",)

RESOURCES = (
    Resource("", "ConfigMap", "configmaps", ("cm",)),
    Resource("", "Event", "events", ("ev",)),
    Resource("", "Namespace", "namespaces", ("ns",), namespaced=False, status=True),
    Resource("", "Node", "nodes", ("no",), namespaced=False, status=True),
    Resource("", "Pod", "pods", ("po",), status=True, categories=ALL),
    Resource("", "Secret", "secrets"),
    Resource("", "ServiceAccount", "serviceaccounts", ("sa",)),
    Resource("", "Service", "services", ("svc",), status=True, categories=ALL),
    Resource("apps", "DaemonSet", "daemonsets", ("ds",), status=True, categories=ALL),
    Resource(
        "apps", "Deployment", "deployments", ("deploy",), status=True, scale=True, categories=ALL
    ),
    Resource("apps", "ReplicaSet", "replicasets", ("rs",), status=True, scale=True, categories=ALL),
    Resource(
        "apps", "StatefulSet", "statefulsets", ("sts",), status=True, scale=True, categories=ALL
    ),
    # `kubectl rollout undo` and `history` list them for StatefulSets and DaemonSets.
    Resource("apps", "ControllerRevision", "controllerrevisions"),
    Resource("batch", "Job", "jobs", status=True, categories=ALL),
    Resource("coordination.k8s.io", "Lease", "leases"),
    Resource("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    Resource("events.k8s.io", "Event", "events", ("ev",)),
    Resource("networking.k8s.io", "NetworkPolicy", "networkpolicies", ("netpol",)),
)

_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource served at /apis/GROUP/VERSION/PLURAL; the core group is ""."""
    return _BY_PATH.get((group, version, plural))


def groups() -> list[str]:
    """The named API groups, in the order of the table; the core group is not one of them."""
    return list(dict.fromkeys(r.group for r in RESOURCES if r.group))


def in_group(group: str) -> list[Resource]:
    return [r for r in RESOURCES if r.group == group]
