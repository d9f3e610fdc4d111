"""Objects for a real cluster, as few lines as a test wants to say about them."""

from typing import Any

Manifest = dict[str, Any]

LISTENER = "probe.test/listener"
PORTS = [{"containerPort": 8080}]


def service(name: str, app: str, *, port: int = 80, target: int = 8080, **spec: Any) -> Manifest:
    """A Service for the pods of that app."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": app},
            "ports": [{"port": port, "targetPort": target}],
            **spec,
        },
    }


def deployment(
    name: str, replicas: int = 1, *, node: str = "", grace: int = 1, **container: Any
) -> Manifest:
    """A Deployment of listeners on 8080; `container` adds to its one container."""
    spec: Manifest = {
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": "main", "image": LISTENER, "ports": PORTS, **container}],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


READY = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
"""A readiness probe."""


def careless(name: str, replicas: int) -> Manifest:
    """Its container ends at SIGTERM at once; the one beside it keeps the address for a while, which
    refuses."""
    made = deployment(name, replicas, grace=30, readinessProbe=READY)
    beside = {"name": "beside", "image": LISTENER, "args": ["PORT=9000", "TERM_DELAY=20"]}
    made["spec"]["template"]["spec"]["containers"].append(beside)
    return at_once(made)


def at_once(made: Manifest) -> Manifest:
    """The same Deployment, all of whose new pods come before any old one goes."""
    made["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    return made
