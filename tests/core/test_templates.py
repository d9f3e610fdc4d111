"""Prints of pod templates, and the revisions that had them."""

from typing import Any

import pytest

from probe.core import templates, wire
from probe.core.templates import RESTARTED_AT, REVISIONS_KEPT, WORKLOADS_KEPT, Revisions, changed

KEY = ("Deployment", "demo-app", "web")


def print_of(
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    init: list[wire.Container] | None = None,
    grace: int | None = None,
    **container: Any,
) -> bytes:
    told = wire.Container(**{"name": "app", "image": "app:1", **container})
    pod = wire.PodSpec([told], init, terminationGracePeriodSeconds=grace)
    return templates.print_of(wire.TemplateMeta(labels, annotations), pod)


SLEEP = wire.Lifecycle(wire.Hook(wire.Sleep(5)))


@pytest.mark.parametrize(
    ("differs", "names"),
    [
        ({"image": "app:2"}, ["images"]),
        ({"annotations": {RESTARTED_AT: "10:00"}}, ["restart"]),
        ({"annotations": {"checksum/config": "a"}}, ["annotations"]),
        ({"labels": {"app": "web"}}, ["labels"]),
        ({"env": [wire.Env("MODE", "b")]}, ["env"]),
        ({"command": ["serve"]}, ["command"]),
        ({"args": ["serve"]}, ["command"]),
        ({"ports": [wire.ContainerPort(8080)]}, ["ports"]),
        ({"readinessProbe": wire.Probe(httpGet=wire.PortAction(8080))}, ["probes"]),
        ({"livenessProbe": wire.Probe(httpGet=wire.PortAction(8080))}, ["probes"]),
        ({"lifecycle": SLEEP}, ["preStop"]),
        ({"grace": 60}, ["terminationGracePeriodSeconds"]),
        ({"image": "app:2", "grace": 60}, ["images", "terminationGracePeriodSeconds"]),
        ({"labels": {}, "annotations": {}, "env": [], "lifecycle": wire.Lifecycle()}, []),
    ],
)
def test_a_print_differs_in_what_its_template_differs_in(
    differs: dict[str, Any], names: list[str]
) -> None:
    assert changed(print_of(), print_of(**differs)) == names


def test_a_print_sees_init_containers_and_command_apart_from_args() -> None:
    with_init = print_of(init=[wire.Container("wait", "wait:1")])
    other = print_of(init=[wire.Container("wait", "wait:2")])

    assert changed(with_init, other) == ["init containers"]
    assert changed(print_of(command=["a", "b"]), print_of(command=["a"], args=["b"])) == ["command"]


def test_a_template_that_comes_back_names_the_revision_that_had_it() -> None:
    held = Revisions()

    assert held.replaced(KEY, b"one", "1", b"two") is None
    assert held.replaced(KEY, b"two", "2", b"one") == "1"
    assert held.replaced(KEY, b"one", "3", b"three") is None
    assert held.replaced(KEY, b"three", "4", b"one") == "3"


def test_of_two_edits_at_once_the_second_has_no_number() -> None:
    """The controller has not said yet which revision the first of them is."""
    held = Revisions()
    held.replaced(KEY, b"one", "1", b"two")
    held.replaced(KEY, b"two", "1", b"three")

    assert held.replaced(KEY, b"three", "3", b"two") == ""


def test_what_is_remembered_of_templates_is_bounded_and_goes_with_the_workload() -> None:
    held = Revisions()
    for i in range(REVISIONS_KEPT + 1):
        held.replaced(KEY, f"{i}".encode(), str(i), f"{i + 1}".encode())
    assert held.replaced(KEY, b"11", "11", b"0") is None
    assert held.replaced(KEY, b"x", "12", b"11") == "11"

    for i in range(WORKLOADS_KEPT):
        held.replaced(("Deployment", "demo-app", str(i)), b"a", "1", b"b")
    assert held.replaced(KEY, b"b", "2", b"a") is None
    last = ("Deployment", "demo-app", str(WORKLOADS_KEPT - 1))
    assert held.replaced(last, b"b", "2", b"a") == "1"
    held.forget(last)
    assert held.replaced(last, b"b", "2", b"a") is None
