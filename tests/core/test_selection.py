"""Which Services select which workloads, whatever was replaced before."""

from hypothesis import given
from hypothesis import strategies as st

from probe.core.edges import Service
from probe.core.selection import LabelIndex, selects
from probe.core.workloads import Workload
from tests.core.facts import service, workload

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
NAMES, NAMESPACES = st.sampled_from("xyz"), st.sampled_from(("one", "two"))
SERVICES = st.builds(
    lambda name, namespace, labels: service(name=name, namespace=namespace, selector=labels),
    *(NAMES, NAMESPACES, LABELS),
)
WORKLOADS = st.builds(
    lambda name, namespace, labels: workload(name=name, namespace=namespace, labels=labels),
    *(NAMES, NAMESPACES, LABELS),
)
STEPS = st.lists(st.tuples(st.one_of(SERVICES, WORKLOADS), st.booleans()), max_size=30)


@given(STEPS)
def test_what_is_looked_up_is_what_comparing_all_with_all_would_give(
    steps: list[tuple[Service | Workload, bool]],
) -> None:
    found = LabelIndex()
    services: dict[tuple[str, str], Service] = {}
    workloads: dict[tuple[str, str], Workload] = {}
    for fact, stays in steps:
        key = fact.namespace, fact.name
        if isinstance(fact, Service):
            found.replace_service(services.pop(key, None), fact if stays else None)
            services.update({key: fact} if stays else {})
        else:
            found.replace_workload(workloads.pop(key, None), fact if stays else None)
            workloads.update({key: fact} if stays else {})

    for each in workloads.values():
        names = sorted(s.name for s in services.values() if selects(s, each))
        assert list(found.services_of(each)) == names
    for held in services.values():
        wanted = {w.name for w in workloads.values() if selects(held, w)}
        assert {w.name for w in found.workloads_of(held)} == wanted
    for key in list(services):
        found.replace_service(services.pop(key), None)
    for key in list(workloads):
        found.replace_workload(workloads.pop(key), None)
    assert (found._services, found._workloads) == ({}, {})


def test_a_service_without_selector_selects_nothing() -> None:
    assert not selects(service(selector=()), workload(labels=()))
    assert not selects(service(namespace="one"), workload(namespace="two"))
    assert selects(service(), workload(labels=(("app", "backend-v1"), ("tier", "web"))))
