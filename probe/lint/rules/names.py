"""Whether Services that programs are told to connect to by name are among the manifests."""

import re
from collections.abc import Iterator

from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set
from probe.lint.services import Service
from probe.lint.settings import Told
from probe.lint.spots import reads_like_an_address, spots

SERVICE = Rule(
    "service-not-found",
    Severity.WARNING,
    "A program is told to connect to a Service that is not among the manifests",
    "The name does not resolve: every connection fails before it is dialed.",
    "name a Service that there is, or ignore this if it is made elsewhere",
)
PORT = Rule(
    "service-port-not-found",
    Severity.WARNING,
    "A program is told to connect to a port that its Service does not have",
    "A Service's address rejects or drops what comes to another port than its own.",
    "name a port of the Service",
)

_NAME = re.compile(r"(?:[a-z0-9-]+\.)?([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?", re.I)
"""`SERVICE.NAMESPACE.svc`, or a pod's name before it, with or without the cluster's domain."""


def services(manifests: Manifests) -> Iterator[Finding]:
    """Only where other Services of that namespace are among the manifests, and no operator makes
    any."""
    known = {s.name for each in manifests.sets for s in each.services}
    for each, told, name, namespace, _ in _named(manifests):
        if each.has_operators or name in known or namespace not in each.namespaces:
            continue
        yield _at(
            SERVICE, told, f"Service {name} is not among the manifests of namespace {namespace}"
        )


def ports(manifests: Manifests) -> Iterator[Finding]:
    for each, told, name, namespace, port in _named(manifests):
        if port is None:
            continue
        found = [s for s in each.services_named(name, namespace) if s.ports]
        if found and all(_lacks(service, port) for service in found):
            has = ", ".join(str(p.number) for p in found[0].ports)
            yield _at(PORT, told, f"Service {name} has no port {port}: it has {has}")


def _lacks(service: Service, port: int) -> bool:
    """A headless Service's name is its pods': they may listen anywhere."""
    if service.headless or service.external:
        return False
    return all(p.number != port for p in service.ports)


def _named(manifests: Manifests) -> Iterator[tuple[Set, Told, str, str, int | None]]:
    """Each value's first Service: its name, namespace and port."""
    for each in manifests.sets:
        for told in each.told:
            if ".svc" not in told.setting.value:
                continue
            called = reads_like_an_address(told.setting.full_name)
            for spot in spots(told.setting.value):
                found = _NAME.fullmatch(spot.host)
                if found and (spot.scheme or called):
                    yield each, told, found[1], found[2], spot.port
                    break


def _at(rule: Rule, told: Told, message: str) -> Finding:
    setting = told.setting
    return rule.at(
        told.document, setting.path, f"{setting.called[:200]}: {message}", text=setting.line
    )
