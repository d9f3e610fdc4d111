from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from probe.core.meshes import HOST_NETWORK, RULES, Wish, Wishes, mesh_of, of_namespace, of_template
from probe.core.namespaces import Namespace

SHIPPED = Path(__file__).parents[2] / "deploy" / "probe.yaml"

INJECT, REV, DATAPLANE = "sidecar.istio.io/inject", "istio.io/rev", "istio.io/dataplane-mode"
LINKERD, KUMA = "linkerd.io/inject", "kuma.io/sidecar-injection"
OSM, MONITORED = "openservicemesh.io/sidecar-injection", "openservicemesh.io/monitored-by"
CONSUL = "consul.hashicorp.com/connect-inject"


@dataclass(frozen=True)
class Template:
    mesh: Wishes


def space(
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    name: str = "demo-app",
) -> Namespace:
    return Namespace(name, (), of_namespace(labels or {}, annotations or {}))


def template(
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    init: tuple[str, ...] = (),
    *,
    host_network: bool = False,
) -> Template:
    return Template(of_template(labels or {}, annotations or {}, init, host_network=host_network))


ENABLED = {"istio-injection": "enabled"}


@pytest.mark.parametrize(
    ("labels", "pod_labels", "pod_annotations", "mesh"),
    [
        (ENABLED, {}, {}, "istio"),
        (ENABLED, {INJECT: "false"}, {}, ""),
        (ENABLED, {}, {INJECT: "false"}, ""),
        (ENABLED, {INJECT: "true"}, {INJECT: "false"}, "istio"),
        (ENABLED, {INJECT: "maybe"}, {}, ""),
        (ENABLED, {}, {INJECT: "Yes"}, "istio"),
        (ENABLED, {}, {"sidecar.istio.io/interceptionMode": "NONE"}, ""),
        (ENABLED, {}, {"sidecar.istio.io/interceptionMode": "TPROXY"}, "istio"),
        ({"istio-injection": "disabled"}, {INJECT: "true"}, {}, ""),
        ({"istio-injection": "true"}, {}, {}, ""),
        ({REV: "1-24"}, {}, {}, "istio"),
        ({REV: "1-24", "istio-injection": "disabled"}, {}, {}, ""),
        ({REV: "1-24"}, {INJECT: "false"}, {}, ""),
        ({}, {INJECT: "true"}, {}, "istio"),
        ({}, {REV: "1-24"}, {}, "istio"),
        ({}, {REV: "1-24", INJECT: "false"}, {}, ""),
        ({"istio-injection": "disabled"}, {REV: "1-24"}, {}, ""),
        ({}, {}, {INJECT: "true"}, ""),
        ({}, {}, {}, ""),
    ],
)
def test_23_istio_injects_where_one_of_both_asks_and_none_forbids(
    labels: dict[str, str],
    pod_labels: dict[str, str],
    pod_annotations: dict[str, str],
    mesh: str,
) -> None:
    assert mesh_of(space(labels), [template(pod_labels, pod_annotations)]) == mesh


@pytest.mark.parametrize(
    ("labels", "pod_labels", "mesh"),
    [
        ({DATAPLANE: "ambient"}, {}, "istio-ambient"),
        ({DATAPLANE: "ambient"}, {DATAPLANE: "none"}, ""),
        ({DATAPLANE: "none"}, {}, ""),
        ({}, {DATAPLANE: "ambient"}, "istio-ambient"),
    ],
)
def test_23_istios_ambient_mode_goes_by_the_pods_label_before_the_namespaces(
    labels: dict[str, str], pod_labels: dict[str, str], mesh: str
) -> None:
    assert mesh_of(space(labels), [template(pod_labels)]) == mesh


@pytest.mark.parametrize(
    ("namespace", "pod", "meshed"),
    [
        ("enabled", "enabled", True),
        ("enabled", "", True),
        ("enabled", "disabled", False),
        ("disabled", "enabled", True),
        ("", "enabled", True),
        ("", "ingress", True),
        ("ingress", "", True),
        ("disabled", "disabled", False),
        ("", "disabled", False),
        ("disabled", "", False),
        ("", "", False),
    ],
)
def test_23_linkerds_own_truth_table(namespace: str, pod: str, meshed: bool) -> None:
    place = space(annotations={LINKERD: namespace} if namespace else {})
    behind = template(annotations={LINKERD: pod} if pod else {})

    assert mesh_of(place, [behind]) == ("linkerd" if meshed else "")


def test_23_kuma_takes_the_label_and_once_took_the_annotation() -> None:
    on, off = {KUMA: "enabled"}, {KUMA: "disabled"}

    assert mesh_of(space(on), [template()]) == "kuma"
    assert mesh_of(space(on), [template(off)]) == ""
    assert mesh_of(space(off), [template(on)]) == "kuma"
    assert mesh_of(space({}, on), [template()]) == "kuma"
    assert mesh_of(space(), [template({KUMA: "true"})]) == "kuma"


def test_23_open_service_mesh_injects_only_where_the_namespace_is_of_the_mesh() -> None:
    member, on, off = {MONITORED: "osm"}, {OSM: "enabled"}, {OSM: "disabled"}

    assert mesh_of(space(member, on), [template()]) == "openservicemesh"
    assert mesh_of(space(member, on), [template({}, off)]) == ""
    assert mesh_of(space(member), [template({}, on)]) == "openservicemesh"
    assert mesh_of(space(member), [template()]) == ""
    assert mesh_of(space({}, on), [template({}, on)]) == ""


def test_23_consul_goes_by_the_pods_annotation() -> None:
    assert mesh_of(space(), [template({}, {CONSUL: "true"})]) == "consul"
    assert mesh_of(space(), [template({}, {CONSUL: "false"})]) == ""


@pytest.mark.parametrize(
    ("init", "mesh"),
    [
        ("istio-init", "istio"),
        ("linkerd-network-validator", "linkerd"),
        ("kuma-init", "kuma"),
        ("wait-for-db", ""),
    ],
)
def test_pods_that_were_injected_by_hand_are_meshed_whatever_the_namespace_says(
    init: str, mesh: str
) -> None:
    assert mesh_of(space({"istio-injection": "disabled"}), [template(init=(init,))]) == mesh
    assert mesh_of(None, [template({INJECT: "false"}, {}, (init,))]) == mesh


def test_a_gateways_ports_tell_the_truth() -> None:
    gateway = template({INJECT: "true"}, {"inject.istio.io/templates": "gateway"})
    custom = template({INJECT: "true"}, {"inject.istio.io/templates": "sidecar,ours"})

    assert mesh_of(space(ENABLED), [gateway]) == ""
    assert mesh_of(space(ENABLED), [custom]) == "istio"


def test_28_pods_on_their_nodes_network_are_never_injected() -> None:
    on_node = template({INJECT: "true"}, {LINKERD: "enabled"}, ("istio-init",), host_network=True)
    everything = {**ENABLED, DATAPLANE: "ambient", KUMA: "enabled", MONITORED: "osm"}

    assert on_node.mesh == HOST_NETWORK
    assert mesh_of(space(everything, {LINKERD: "enabled", OSM: "enabled"}), [on_node]) == ""


def test_injectors_leave_the_systems_namespaces_alone() -> None:
    assert mesh_of(space(ENABLED, name="kube-system"), [template()]) == ""


def test_one_meshed_workload_of_several_is_enough() -> None:
    plain, meshed = template(), template({INJECT: "true"})

    assert mesh_of(space(), [plain, meshed]) == "istio"
    assert mesh_of(space(), [plain, plain]) == ""


def test_bare_pods_go_by_their_namespace_and_pods_of_unknown_namespaces_by_their_template() -> None:
    assert mesh_of(space(ENABLED), []) == "istio"
    assert mesh_of(None, []) == ""
    assert mesh_of(None, [template({INJECT: "true"})]) == "istio"


def test_a_word_for_one_mesh_is_none_for_another() -> None:
    apart = template({}, {LINKERD: "disabled"})

    assert apart.mesh == (("linkerd", Wish.OUT),)
    assert mesh_of(space(ENABLED, {LINKERD: "enabled"}), [apart]) == "istio"


def test_those_who_wish_the_same_share_one_wish() -> None:
    assert template({INJECT: "true"}).mesh is template({INJECT: "true"}).mesh


def test_the_daemons_as_shipped_stay_out_of_every_mesh() -> None:
    """A namespace that asks for all of them, one after the other, gets none."""
    shipped = yaml.safe_load_all(SHIPPED.read_text())
    (made,) = (each for each in shipped if each["kind"] == "DaemonSet")
    meta = made["spec"]["template"]["metadata"]
    daemons = template(meta["labels"], meta["annotations"])

    for mesh in RULES:
        place = Namespace("edgeprobe", (), ((mesh, Wish.IN),))
        assert mesh_of(place, [template()]) == mesh
        assert mesh_of(place, [daemons]) == ""


texts = st.dictionaries(
    st.sampled_from([INJECT, REV, DATAPLANE, LINKERD, KUMA, OSM, MONITORED, CONSUL]),
    st.sampled_from(["enabled", "disabled", "true", "false", "ambient", "none", "", "x"]),
)


@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=3))
def test_the_mesh_is_one_of_the_known_and_none_where_nobody_asks(
    labels: dict[str, str],
    annotations: dict[str, str],
    pods: list[tuple[dict[str, str], dict[str, str]]],
) -> None:
    found = mesh_of(space(labels, annotations), [template(*pod) for pod in pods])

    assert found in ("", *RULES)
    said = {v for texts in (labels, annotations, *(t for p in pods for t in p)) for v in texts}
    assert found == "" or said


@given(texts, texts, st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_the_order_of_workloads_means_nothing_and_each_counts(
    labels: dict[str, str],
    annotations: dict[str, str],
    pods: list[tuple[dict[str, str], dict[str, str]]],
) -> None:
    place, templates = space(labels, annotations), [template(*pod) for pod in pods]
    alone = {mesh_of(place, [one]) for one in templates}

    assert mesh_of(place, templates) == mesh_of(place, templates[::-1])
    assert mesh_of(place, templates) in alone
    assert bool(mesh_of(place, templates)) == any(alone)
