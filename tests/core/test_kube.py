import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core import kube, wire
from probe.core.edges import NO_HINTS, Endpoint, EndpointSlice, Hints, Service
from probe.core.meta import BadObject
from tests.core.decoded import META, RESOURCES, fact, workload


def service(**spec: Any) -> Service:
    found = fact("services", {"metadata": META, "spec": spec})
    assert isinstance(found, Service)
    return found


def endpoint(**fields: Any) -> Endpoint:
    obj = {
        "metadata": META,
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], **fields}],
    }
    found = fact("endpointslices", obj)
    assert isinstance(found, EndpointSlice)
    return found.endpoints[0]


# Services.


def test_what_the_api_fills_in_may_be_missing() -> None:
    found = service(clusterIP="10.96.0.1", ports=[{"port": 80}])

    assert found.cluster_ips == ("10.96.0.1",)
    assert found.type == "ClusterIP"
    assert [(p.name, p.protocol, p.target_port) for p in found.ports] == [("", "TCP", 80)]


def test_16_a_headless_service_has_no_cluster_ip_to_dial() -> None:
    assert service(clusterIP="None", clusterIPs=["None"]).headless
    assert service(clusterIP="").headless


def test_22_both_cluster_ips_of_a_dual_stack_service_are_kept() -> None:
    found = service(clusterIP="10.96.0.1", clusterIPs=["10.96.0.1", "fd00::1"])

    assert found.cluster_ips == ("10.96.0.1", "fd00::1")


@pytest.mark.parametrize(
    ("value", "out"), [("false", True), ("False", True), ("true", False), ("", False)]
)
def test_a_service_opts_out_by_its_annotation(value: str, out: bool) -> None:
    meta = {**META, "annotations": {"edgeprobe.dev/probe": value}}

    assert fact("services", {"metadata": meta, "spec": {}}).opted_out == out


def test_the_author_is_who_wrote_last_and_not_a_status() -> None:
    fields = [
        {"manager": "argocd", "time": "2026-11-20T10:00:00Z"},
        {"manager": "kubectl-patch", "time": "2026-11-20T11:00:00Z"},
        {"manager": "controller", "time": "2026-11-20T12:00:00Z", "subresource": "status"},
        {"manager": "timeless"},
    ]
    author = fact("services", {"metadata": {**META, "managedFields": fields}, "spec": {}}).author

    assert (author.manager, author.time) == ("kubectl-patch", "2026-11-20T11:00:00Z")
    assert service().author is None


def managers(*written: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Metadata with these managers and what each owns, each written a second after the other."""
    fields = [
        {"manager": name, "time": f"2026-11-20T10:00:0{at}Z", "fieldsV1": owned}
        for at, (name, owned) in enumerate(written)
    ]
    return {**META, "managedFields": fields}


LABELLED: dict[str, Any] = {"f:metadata": {"f:labels": {"f:team": {}}, "f:finalizers": {".": {}}}}


@pytest.mark.parametrize(
    ("resource", "owned", "spec"),
    [
        ("services", {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}}}}, {}),
        ("services", {"f:selector": {}}, {}),
        ("services", {"f:internalTrafficPolicy": {}}, {}),
        ("deployments", {"f:replicas": {}}, {"template": {"spec": {}}}),
        ("deployments", {"f:template": {"f:metadata": {}}}, {"template": {"spec": {}}}),
        ("networkpolicies", {"f:ingress": {}}, {}),
        ("nodes", {"f:unschedulable": {}}, {}),
    ],
)
def test_the_author_wrote_a_part_of_the_spec_that_we_read_and_no_label_or_other_field(
    resource: str, owned: dict[str, Any], spec: dict[str, Any]
) -> None:
    other: tuple[str, dict[str, Any]] = (
        "kubectl-edit",
        {"f:spec": {"f:sessionAffinity": {}, "f:strategy": {}}},
    )
    meta = managers(("argocd", {"f:spec": owned}), ("kubectl-label", LABELLED), other)

    assert fact(resource, {"metadata": meta, "spec": spec}).author.manager == "argocd"


def told_by(*written: tuple[str, dict[str, Any]], pod: dict[str, Any]) -> list[str]:
    """Who wrote each address of the Deployment that nobody may dial."""
    obj = {"metadata": managers(*written), "spec": {"template": {"spec": pod}}}
    found = fact("deployments", obj)
    return [found.tellers[invalid].manager for invalid in found.invalid]


def owner(container: str, fields: dict[str, Any], *, kind: str = "f:containers") -> dict[str, Any]:
    pod = {kind: {f'k:{{"name":"{container}"}}': {".": {}, **fields}}}
    return {"f:spec": {"f:template": {"f:spec": pod}}}


def test_an_invalid_address_was_told_by_who_wrote_its_variable_not_by_who_set_the_image() -> None:
    def variable(name: str, **fields: Any) -> dict[str, Any]:
        return {"f:env": {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}, **fields}}}

    value: dict[str, Any] = {"f:value": {}}
    env = [{"name": "UPSTREAM_ADDR", "value": "0:80"}]

    assert told_by(
        ("helm", owner("app", variable("UPSTREAM_ADDR", **value))),
        ("ada", owner("app", variable("OTHER", **value))),
        ("sidecars", owner("proxy", variable("UPSTREAM_ADDR", **value))),
        ("flux", owner("app", variable("UPSTREAM_ADDR"))),  # another one wrote its value
        ("kubectl-set", owner("app", {"f:image": {}})),
        ("kubectl-label", LABELLED),
        pod={"containers": [{"name": "app", "env": env}]},
    ) == ["helm"]


def test_an_invalid_address_of_a_command_line_was_told_by_who_wrote_that() -> None:
    sidecar = {"name": "proxy", "command": ["p", "http://0:80"], "restartPolicy": "Always"}
    app = {"name": "app", "args": ["--upstream=http://0:80"]}

    assert told_by(
        ("helm", owner("app", {"f:args": {}})),
        ("injector", owner("proxy", {"f:command": {}}, kind="f:initContainers")),
        ("kubectl-set", owner("app", {"f:image": {}})),
        pod={"containers": [app], "initContainers": [sidecar]},
    ) == ["helm", "injector"]


def test_who_told_an_invalid_address_may_be_unknown() -> None:
    pod = {"containers": [{"name": "app", "args": ["http://0:80"]}]}
    meta = managers(("kubectl-label", LABELLED))
    found = fact("deployments", {"metadata": meta, "spec": {"template": {"spec": pod}}})

    assert (len(found.invalid), found.tellers) == (1, {})


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        ("services", {"metadata": META}),
        ("services", {"metadata": META, "spec": None}),
        ("services", {"metadata": {"name": "a"}, "spec": {}}),
        ("endpointslices", {"metadata": {"namespace": "a"}}),
        ("deployments", {"metadata": META}),
        ("deployments", {"metadata": META, "spec": {}}),
        ("deployments", {"metadata": META, "spec": {"template": {}}}),
    ],
)
def test_an_object_without_what_its_fact_needs_is_a_bad_object(resource: str, obj: Any) -> None:
    with pytest.raises(BadObject):
        fact(resource, obj)


# EndpointSlices.


def test_14_conditions_that_are_missing_mean_what_the_api_says() -> None:
    bare, unready = endpoint(), endpoint(conditions={"ready": False})

    assert (bare.ready, bare.serving, bare.terminating) == (True, True, False)
    assert (unready.ready, unready.serving) == (False, True)
    assert not endpoint(conditions={"serving": False}).serving
    assert endpoint(conditions={"ready": False, "serving": True, "terminating": True}).serving


def test_an_endpoint_knows_its_node_and_its_pod_but_no_other_kind_of_object() -> None:
    found = endpoint(nodeName="n", targetRef={"kind": "Pod", "name": "p"})

    assert (found.node, found.pod) == ("n", "p")
    assert endpoint(targetRef={"kind": "Node", "name": "p"}).pod == ""


def test_11_an_endpoint_keeps_the_zones_and_nodes_that_it_is_hinted_for() -> None:
    both = {"forZones": [{"name": "b"}, {"name": "a"}, {}], "forNodes": [{"name": "n"}]}

    assert endpoint(hints=both).hints == Hints(("a", "b"), ("n",))
    assert endpoint(hints={"forZones": None}).hints == endpoint().hints == NO_HINTS
    assert endpoint(hints=both).hints is endpoint(hints=both).hints  # one for all who have them


def test_15_endpoints_without_an_address_are_left_out() -> None:
    obj = {"metadata": META, "endpoints": [{"addresses": []}, {"addresses": None}, {}]}

    assert fact("endpointslices", obj).endpoints == ()


# Workloads.


def test_20_native_sidecars_are_read_and_ordinary_init_containers_are_not() -> None:
    pod = {
        "containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}]}],
        "initContainers": [
            {"name": "mesh", "restartPolicy": "Always", "ports": [{"containerPort": 15001}]},
            {"name": "migrate", "ports": [{"containerPort": 9999}]},
        ],
    }
    found = workload(pod=pod)

    assert [(d.port, d.auxiliary) for d in found.declared] == [(8080, False), (15001, True)]
    assert found.images == ("app:1",)


def test_declared_ports_come_from_ports_probes_environment_and_arguments() -> None:
    container = {
        "name": "app",
        "ports": [{"containerPort": 1, "protocol": "UDP"}, {"containerPort": 2, "name": "web"}],
        "env": [{"name": "LISTEN_ADDR", "value": ":3"}, {"name": "PORT", "valueFrom": {}}],
        "command": ["serve", "--port=4"],
        "args": ["--listen", ":5"],
        "readinessProbe": {"httpGet": {"port": "web"}},
        "livenessProbe": {"tcpSocket": {"port": 6}},
        "startupProbe": {"grpc": {"port": 7}},
    }

    assert [d.port for d in workload(pod={"containers": [container]}).declared] == [
        3,
        4,
        5,
        2,
        6,
        7,
    ]


def test_invalid_destinations_of_the_workload_are_found() -> None:
    env = [{"name": "BACKEND_ADDR", "value": "0:80"}]

    assert [s for s, _ in workload(pod={"containers": [{"name": "a", "env": env}]}).invalid] == [
        "env"
    ]


def test_nothing_that_is_kept_of_a_workload_holds_a_password() -> None:
    """What is not kept can be told to nobody, whatever is told one day."""
    env = {
        "DATABASE_URL": "postgres://app:hunter2@0:5432/hunter2?password=hunter2",
        "LISTEN_ADDR": "hunter2;tcp://0.0.0.0:8080/hunter2",
        "PORT": "8081,hunter2",
        "API_TOKEN": "hunter2",
    }
    probe = {
        "httpGet": {"port": 8082, "httpHeaders": [{"name": "X", "value": "hunter2"}]},
        "exec": {"command": ["check", "-phunter2"]},
    }
    container = {
        "name": "app",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "command": ["app", "--upstream=http://app:hunter2@0:80/?k=hunter2", "-phunter2"],
        "args": ["--listen=tcp://:8083/hunter2", "sh -c 'PASSWORD=hunter2 app --port=8084'"],
        "livenessProbe": probe,
        "lifecycle": {"preStop": {"exec": {"command": ["bye", "hunter2"]}}},
    }

    found = workload(pod={"containers": [container]})

    assert {d.port for d in found.declared} == {8080, 8081, 8082, 8083, 8084}
    assert {source for source, _ in found.invalid} == {"env", "args"}
    assert "hunter2" not in repr(found)


def test_defaults_of_a_workload_are_those_of_the_api() -> None:
    found = workload()

    assert (found.replicas, found.progress_deadline_seconds, found.grace_seconds) == (1, 600, 30)
    assert workload(pod={"terminationGracePeriodSeconds": 0}).grace_seconds == 0


# Namespaces and policies.


def test_a_namespace_is_told_by_its_name_alone() -> None:
    found = fact("namespaces", {"metadata": {"name": "shop", "labels": {"a": "1"}}})

    assert (found.namespace, found.name, found.labels) == ("", "shop", (("a", "1"),))
    with pytest.raises(BadObject, match=r"metadata\.name is missing"):
        fact("namespaces", {"metadata": {}})


def test_a_network_policy_keeps_its_ingress() -> None:
    rule = {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": None}}], "ports": None}
    found = fact("networkpolicies", {"metadata": META, "spec": {"ingress": [rule]}})

    ((peer,),) = [rule.peers for rule in found.ingress]
    assert {"namespace": found.namespace, "name": found.name} == META
    assert str(peer.block.network) == "10.0.0.0/8"
    with pytest.raises(BadObject):
        fact("networkpolicies", {"metadata": {"name": "a"}})


# What is asked for.


def test_41_endpoints_are_read_from_slices_only() -> None:
    assert [r.name for r in kube.RESOURCES] == [
        "services",
        "endpointslices",
        "deployments",
        "statefulsets",
        "daemonsets",
        "nodes",
        "namespaces",
        "networkpolicies",
    ]
    assert [r.name for r in kube.RESOURCES if r.required] == ["services", "endpointslices"]


def test_a_resource_knows_its_path_and_its_group() -> None:
    assert (kube.SERVICES.group, kube.SERVICES.path()) == ("", "/api/v1/services")
    assert kube.SLICES.group == "discovery.k8s.io"
    assert kube.SLICES.path("demo-app") == (
        "/apis/discovery.k8s.io/v1/namespaces/demo-app/endpointslices"
    )


def test_what_is_in_no_namespace_is_asked_for_as_a_whole() -> None:
    assert kube.SERVICES.path("x/../y?a=1#") == "/api/v1/namespaces/x%2F..%2Fy%3Fa%3D1%23/services"
    assert kube.NODES.path("demo-app") == kube.NODES.path() == "/api/v1/nodes"


# Anything at all.

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = sorted(
    {f for c in vars(wire).values() if isinstance(c, type) for f in getattr(c, "__slots__", ())}
)
objects = st.recursive(
    json_values | st.just({"name": "a", "namespace": "b"}),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.sampled_from(sorted(RESOURCES)), objects)
def test_anything_is_a_fact_a_bad_object_or_no_wire_form(resource: str, obj: Any) -> None:
    found = RESOURCES[resource]
    with suppress(BadObject, msgspec.ValidationError):
        found.fact(msgspec.json.decode(json.dumps(obj).encode(), type=found.wire))


whole = st.fixed_dictionaries(
    {"metadata": st.just(META)},
    optional={
        "spec": st.fixed_dictionaries(
            {}, optional={"template": objects, "ports": objects, "selector": objects}
        ),
        "status": objects,
        "endpoints": objects,
        "ports": objects,
    },
)


@given(st.sampled_from(sorted(RESOURCES)), whole)
def test_anything_below_good_metadata_is_a_fact_a_bad_object_or_no_wire_form(
    resource: str, obj: Any
) -> None:
    found = RESOURCES[resource]
    with suppress(BadObject, msgspec.ValidationError):
        found.fact(msgspec.json.decode(json.dumps(obj).encode(), type=found.wire))
