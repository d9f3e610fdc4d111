"""Services as their manifests say them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from probe.lint.documents import Document
from probe.lint.values import Path, items, labels, mapping, number, port, text


@dataclass(frozen=True)
class ServicePort:
    """`target` is what is written, None if nothing is: then it is the port itself."""

    name: str
    number: int | None
    protocol: str
    target: int | str | None
    path: Path

    @property
    def leads_to(self) -> int | str | None:
        """The API takes a zero, or nothing, for the port itself."""
        return self.target or self.number

    @property
    def target_path(self) -> Path:
        """Where to point at: the port, if it has no targetPort."""
        return (*self.path, "port" if self.target is None else "targetPort")


@dataclass(frozen=True)
class Service:
    """A Service; `namespace` is empty where the manifest has none."""

    document: Document
    namespace: str

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def _spec(self) -> dict[str, Any]:
        return mapping(self.document.value.get("spec"))

    @cached_property
    def selector(self) -> dict[str, str]:
        return {} if self.external else labels(self._spec.get("selector"))

    @property
    def external(self) -> bool:
        return self._spec.get("type") == "ExternalName"

    @property
    def headless(self) -> bool:
        """Its clients get the pods' own addresses: targetPort is not in their way."""
        return self._spec.get("clusterIP") == "None"

    @cached_property
    def ports(self) -> tuple[ServicePort, ...]:
        return tuple(
            ServicePort(
                name=text(each.get("name")),
                number=number(each.get("port")),
                protocol=text(each.get("protocol")) or "TCP",
                target=port(each.get("targetPort")),
                path=("spec", "ports", i),
            )
            for i, each in items(self._spec.get("ports"))
        )


def service(document: Document, namespace: str) -> Service | None:
    """None if the object is no Service of the core API (Knative has its own)."""
    if document.kind != "Service" or document.api_version != "v1":
        return None
    return Service(document, namespace)
