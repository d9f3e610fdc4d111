"""The Services that Ingresses and routes of the Gateway API send their traffic to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from probe.lint.documents import Document
from probe.lint.values import Path, items, mapping, number, port, text

ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"})
INGRESS_GROUPS = ("networking.k8s.io", "extensions")
GATEWAY_GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Backend:
    """One reference to a Service and its port; `path` is where the port stands, `name_path` where
    the Service's name does. `namespace` is empty where nothing says it."""

    document: Document
    namespace: str
    service: str
    port: int | str | None
    path: Path
    name_path: Path


def backends(document: Document, namespace: str) -> Iterator[Backend]:
    """The Services that this object sends its traffic to; none if it is no route."""
    group = document.api_version.rpartition("/")[0]
    if document.kind == "Ingress" and group in INGRESS_GROUPS:
        yield from _of_ingress(document, namespace)
    elif document.kind in ROUTES and group == GATEWAY_GROUP:
        for r, rule in items(mapping(document.value.get("spec")).get("rules")):
            path: Path = ("spec", "rules", r)
            for b, ref in items(rule.get("backendRefs")):
                yield from _of_ref(document, namespace, ref, (*path, "backendRefs", b))
                yield from _mirrors(document, namespace, ref, (*path, "backendRefs", b))
            yield from _mirrors(document, namespace, rule, path)


def _mirrors(
    document: Document, namespace: str, value: dict[str, Any], path: Path
) -> Iterator[Backend]:
    for f, each in items(value.get("filters")):
        ref = mapping(mapping(each.get("requestMirror")).get("backendRef"))
        place = (*path, "filters", f, "requestMirror", "backendRef")
        yield from _of_ref(document, namespace, ref, place)


def _of_ref(
    document: Document, namespace: str, ref: dict[str, Any], path: Path
) -> Iterator[Backend]:
    """A BackendObjectReference; of another kind than Service it is not ours."""
    if (ref.get("kind") or "Service") != "Service" or ref.get("group"):
        return
    if name := text(ref.get("name")):
        yield Backend(
            document,
            text(ref.get("namespace")) or namespace,
            name,
            number(ref.get("port")),
            (*path, "port"),
            (*path, "name"),
        )


def _of_ingress(document: Document, namespace: str) -> Iterator[Backend]:
    spec = mapping(document.value.get("spec"))
    places: list[tuple[Path, Any]] = [
        (("spec", key), spec.get(key)) for key in ("defaultBackend", "backend")
    ]
    for r, rule in items(spec.get("rules")):
        for p, each in items(mapping(rule.get("http")).get("paths")):
            places.append(
                (("spec", "rules", r, "http", "paths", p, "backend"), each.get("backend"))
            )
    for path, value in places:
        backend = mapping(value)
        old = text(backend.get("serviceName"))  # networking.k8s.io/v1beta1 and before
        if old:
            asked = port(backend.get("servicePort"))
            yield Backend(
                document,
                namespace,
                old,
                asked,
                (*path, "servicePort"),
                (*path, "serviceName"),
            )
            continue
        found = mapping(backend.get("service"))
        if name := text(found.get("name")):
            given = mapping(found.get("port"))
            key = "name" if given.get("name") else "number"
            at = (*path, "service")
            yield Backend(
                document,
                namespace,
                name,
                port(given.get(key)),
                (*at, "port", key),
                (*at, "name"),
            )
