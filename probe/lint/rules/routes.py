"""Whether Ingresses and routes send their traffic to Services and ports that there are."""

from collections.abc import Iterator, Sequence
from functools import cache, partial

from probe.lint.backends import Backend
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set, agree
from probe.lint.services import Service
from probe.lint.values import is_placeholder

PORT = Rule(
    "backend-port-missing",
    Severity.ERROR,
    "An Ingress or a route names a Service port that does not exist",
    "The controller finds no port to send to and answers 503, or drops the whole route.",
    "name a port of the Service",
)
SERVICE = Rule(
    "backend-service-missing",
    Severity.WARNING,
    "An Ingress or a route names a Service that is not among the manifests",
    "Without the Service the controller answers 503.",
    "name a Service that there is, or ignore this if it is made elsewhere",
)

BY_ANNOTATION = "use-annotation"
"""A port of the AWS Load Balancer Controller's Ingresses that stands for no Service's."""


def ports(manifests: Manifests) -> Iterator[Finding]:
    """An ExternalName Service's ports bind nobody: it is an alias in DNS."""
    for each in manifests.sets:
        for backend in each.backends:
            found = [s for s in each.services_named(backend.service, backend.namespace) if s.ports]
            if (
                not found
                or any(s.external for s in found)
                or backend.port is None
                or backend.port == BY_ANNOTATION
            ):
                continue
            if isinstance(backend.port, str) and is_placeholder(backend.port):
                continue
            if not any(_has(service, backend.port) for service in found):
                yield _missing(backend, found)


def _has(service: Service, port: int | str) -> bool:
    """A number that is quoted is a name to the API, and a number to every controller."""
    return any(str(port) in (p.name, str(p.number)) for p in service.ports)


def _missing(backend: Backend, found: Sequence[Service]) -> Finding:
    service = found[0]
    has = ", ".join(f"{p.number} ({p.name})" if p.name else str(p.number) for p in service.ports)
    message = f"Service {service.name} has no port {backend.port}: it has {has}"
    only = service.ports[0]
    right = only.name if isinstance(backend.port, str) and only.name else only.number
    fix = f"set it to {right}" if len(service.ports) == len(found) == 1 else ""
    leads = any(str(backend.port) == str(p.leads_to) for s in found for p in s.ports)
    if leads and backend.document.kind == "Ingress":
        message += "; that is a targetPort, which only ingress-nginx takes for it"
        return PORT.at(backend.document, backend.path, message, fix=fix, severity=Severity.WARNING)
    return PORT.at(backend.document, backend.path, message, fix=fix)


def services(manifests: Manifests) -> Iterator[Finding]:
    """Only where other Services of that namespace are among the manifests."""
    for each in manifests.sets:
        known = cache(partial(_knows, each))
        for backend in each.backends:
            if each.has_operators or backend.port == BY_ANNOTATION:
                continue
            if is_placeholder(backend.service) or not known(backend.namespace):
                continue
            if not each.services_named(backend.service, backend.namespace):
                where = f" in namespace {backend.namespace}" if backend.namespace else ""
                yield SERVICE.at(
                    backend.document,
                    backend.name_path,
                    f"Service {backend.service}{where} is not among the manifests",
                )


def _knows(each: Set, namespace: str) -> bool:
    return any(agree(s.namespace, namespace) for s in each.services)
