"""The manifests of one run, indexed: who selects whom, who names whom."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from probe.lint.backends import Backend, backends
from probe.lint.documents import Document
from probe.lint.patches import Patch, files, patches
from probe.lint.services import Service, service
from probe.lint.sets import distance, sets
from probe.lint.settings import Told, of_config_map, of_generators, of_workload
from probe.lint.values import is_placeholder, items, mapping, text, within
from probe.lint.workloads import ENDING, Workload, numbers_of, workload

HELM_HOOK = "helm.sh/hook"

MAKES_NO_PODS = (
    "k8s.io",  # but for x-k8s.io, the group of what SIGs try out
    "monitoring.coreos.com/ServiceMonitor",
    "monitoring.coreos.com/PodMonitor",
    "monitoring.coreos.com/PrometheusRule",
    "cert-manager.io",
    "istio.io",
    "traefik.io",
    "traefik.containo.us",
    "external-secrets.io",
    "bitnami.com/SealedSecret",
    "cilium.io",
    "projectcalico.org",
    "keda.sh",
    "kyverno.io",
    "route.openshift.io",
    "security.openshift.io",
)
"""API groups, or kinds of them, that no operator turns into pods or Services."""


BY_THE_CLUSTER = frozenset(
    {
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "controller-revision-hash",
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "job-name",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
    }
)
"""Labels that controllers give to pods: no template has them (kubernetes.io/docs/reference/
labels-annotations-taints, Argo Rollouts)."""


BEHIND_MAX = 1000
"""Workloads behind one Service that are looked at, so that no file takes for ever. Arbitrary."""


class Behind(NamedTuple):
    """The workloads whose pods a Service selects. Not `sure` if there may be others: then nothing
    is to be said of what they all lack."""

    workloads: tuple[Workload, ...]
    sure: bool


class Set:
    """Documents that belong together."""

    def __init__(self, documents: list[Document], patches: frozenset[str]) -> None:
        self.documents = documents
        self.overlaid: dict[tuple[str, str], list[Workload]] = {}
        self.patched: dict[tuple[str, str], list[Patch]] = {}
        self._patches = patches

    @cached_property
    def workloads(self) -> list[Workload]:
        """All that make pods, patches among them; not what controllers made of others here, as in
        what `kubectl get all` says."""
        named = {(d.kind, d.name) for d in self.documents}
        configs = {d.name: mapping(d.value.get("data")) for d in self.of_kind("ConfigMap")}
        found = (workload(d, stated_namespace(d), configs) for d in self.documents)
        return [each for each in found if each and named.isdisjoint(_owners(each.document))]

    @cached_property
    def services(self) -> list[Service]:
        """Services that can be applied as they stand."""
        found = (service(d, stated_namespace(d)) for d in self.documents)
        return [each for each in found if each and each.document.source not in self._patches]

    @cached_property
    def backends(self) -> list[Backend]:
        found = (b for d in self.documents for b in backends(d, stated_namespace(d)))
        return [each for each in found if each.document.source not in self._patches]

    def variants(self, each: Workload) -> list[Workload]:
        """The workload, and the patches that some overlay may lay over it."""
        return [each, *self.overlaid.get((each.kind, each.document.name), ())]

    def mentions(self, each: Workload, number: int) -> bool:
        """Whether that number stands anywhere in the template of its pods, in a patch of it, or in
        a ConfigMap that they read: it may be a port that is opened without a declaration."""
        said = str(number)
        if any(said in variant.numbers for variant in self.variants(each)):
            return True
        if any(said in patch.numbers for patch in self._patches_of(each.document)):
            return True
        return any(said in self._config_numbers.get(name, ()) for name in each.config_maps)

    def is_patched(self, each: Document) -> bool:
        """Whether a Kustomization has a patch for this very object that is no document."""
        return any(patch.name for patch in self._patches_of(each))

    def _patches_of(self, each: Document) -> Iterator[Patch]:
        for kind in (each.kind, ""):
            for name in (each.name, ""):
                yield from self.patched.get((kind, name), ())

    def is_told_elsewhere(self, each: Workload) -> bool:
        """Whether its pods read a ConfigMap that is not among the manifests."""
        return not each.config_maps <= self._config_numbers.keys()

    @cached_property
    def told(self) -> list[Told]:
        """All that the programs are told that may be an address."""
        found, readers = [], dict[str, set[int]]()
        for each in self.workloads:
            own = frozenset({p.number for p in each.ports} | {d.port for d in each.declared})
            found += [Told(each.document, setting, own) for setting in of_workload(each)]
            for name in each.config_maps:
                readers.setdefault(name, set()).update(own)
        for document in self.of_kind("ConfigMap"):
            own = frozenset(readers.get(document.name, ()))
            found += [Told(document, setting, own) for setting in of_config_map(document)]
        for document in self.of_kind("Kustomization"):
            for name, setting in of_generators(document):
                found.append(Told(document, setting, frozenset(readers.get(name, ()))))
        return found

    def of_kind(self, kind: str) -> list[Document]:
        return self._by_kind.get(kind, [])

    @cached_property
    def _by_kind(self) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for document in self.documents:
            found.setdefault(document.kind, []).append(document)
        return found

    @cached_property
    def _config_numbers(self) -> dict[str, frozenset[str]]:
        """All numbers in each ConfigMap."""
        found: dict[str, frozenset[str]] = {"kube-root-ca.crt": frozenset()}
        for document in self.of_kind("ConfigMap"):
            numbers = frozenset(numbers_of(document.value.get("data")))
            found[document.name] = found.get(document.name, frozenset()) | numbers
        return found

    def is_whole(self, each: Workload) -> bool:
        """Whether that is no patch of one, by kustomize's word or by what it lacks."""
        return each.whole and each.document.source not in self._patches

    def behind(self, each: Service) -> Behind:
        """Of several the nearest ones: those of the same file, else of the same directory ..."""
        asked = each.document.source, each.namespace, frozenset(each.selector.items())
        known = self._behind.get(asked)
        if known is None:
            known = self._behind[asked] = self._find_behind(each)
        return known

    @cached_property
    def _behind(self) -> dict[tuple[str, str, frozenset[tuple[str, str]]], Behind]:
        return {}

    def _find_behind(self, each: Service) -> Behind:
        selector = {k: v for k, v in each.selector.items() if k not in BY_THE_CLUSTER}
        if not selector or any(map(is_placeholder, selector.values())):
            return Behind((), sure=False)
        buckets = (self._by_label.get(pair, []) for pair in selector.items())
        matching = [
            w
            for w in min(buckets, key=len)
            if agree(w.namespace, each.namespace) and selector.items() <= w.labels.items()
        ]
        found = [w for w in matching if w.kind not in ENDING] or matching
        if not found:
            return Behind((), sure=True)
        if len(found) > BEHIND_MAX:
            return Behind((), sure=False)
        apart = [distance(each.document, w.document) for w in found]
        nearest = min(apart)
        near = [w for w, far in zip(found, apart, strict=True) if far == nearest]
        whole = tuple(w for w in near if self.is_whole(w))
        return Behind(whole, sure=len(whole) == len(near))

    def selecting(self, each: Workload) -> list[Service]:
        """The Services that it is behind."""
        return self._selecting.get(id(each), [])

    @cached_property
    def _selecting(self) -> dict[int, list[Service]]:
        found: dict[int, list[Service]] = {}
        for selecting in self.services:
            for each in self.behind(selecting).workloads:
                found.setdefault(id(each), []).append(selecting)
        return found

    @cached_property
    def _by_label(self) -> dict[tuple[str, str], list[Workload]]:
        found: dict[tuple[str, str], list[Workload]] = {}
        for each in self.workloads:
            if HELM_HOOK not in (within(each.document.value, "metadata", "annotations") or ()):
                for pair in each.labels.items():
                    found.setdefault(pair, []).append(each)
        return found

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Those that Services are written to be in."""
        return frozenset(each.namespace for each in self.services if each.namespace)

    def services_named(self, name: str, namespace: str) -> list[Service]:
        return [s for s in self._by_name.get(name, []) if agree(s.namespace, namespace)]

    @cached_property
    def _by_name(self) -> dict[str, list[Service]]:
        found: dict[str, list[Service]] = {}
        for each in self.services:
            found.setdefault(each.name, []).append(each)
        return found

    @cached_property
    def has_operators(self) -> bool:
        """Whether some object may be turned into pods or Services that are no manifests here."""
        return any(_may_make_pods(d) for d in self.documents)


class Manifests:
    """All documents of a run, in their sets."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = list(documents)
        paths = frozenset(path for d in self.documents for path in files(d))
        self.sets = [Set(found, paths) for found in sets(self.documents)]
        overlaid: dict[tuple[str, str], list[Workload]] = {}
        patched: dict[tuple[str, str], list[Patch]] = {}
        for patch in (patch for d in self.documents for patch in patches(d)):
            patched.setdefault((patch.kind, patch.name), []).append(patch)
        for each in self.sets:
            each.overlaid, each.patched = overlaid, patched
            for made in each.workloads:
                if not each.is_whole(made):
                    overlaid.setdefault((made.kind, made.document.name), []).append(made)


def stated_namespace(document: Document) -> str:
    """As written; empty where the namespace is left to whoever applies the manifest."""
    return text(document.metadata.get("namespace"))


def _owners(document: Document) -> Iterator[tuple[str, str]]:
    """Kind and name of the object whose controller made it."""
    for _, each in items(document.metadata.get("ownerReferences")):
        if each.get("controller"):
            yield text(each.get("kind")), text(each.get("name"))


def agree(one: str, other: str) -> bool:
    """Whether these may be one namespace: an absent one may be any."""
    return one == other or not one or not other


def _may_make_pods(document: Document) -> bool:
    group = document.api_version.rpartition("/")[0]
    if "." not in group or group == "x-k8s.io" or group.endswith(".x-k8s.io"):
        return "." in group
    kind = f"{group}/{document.kind}"
    return not any(kind == each or f".{group}".endswith(f".{each}") for each in MAKES_NO_PODS)
