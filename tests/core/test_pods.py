"""Pods as a check sees them once: what state they are in, what stands before them, what a Service's
document gains by them."""

from typing import Any

import msgspec
import pytest

from probe.core import wire
from probe.core.advice import LINES
from probe.core.meta import BadObject
from probe.core.pods import Pod, pod, tell, trouble
from probe.core.policies import NetworkPolicy, network_policy
from probe.core.verdicts import Verdict

READER = msgspec.json.Decoder(wire.Pod)

READY = [{"type": "Ready", "status": "True"}]


def told(
    name: str = "web-1",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **meta: Any,
) -> Pod:
    """The fact of a pod as the API tells it: running and ready unless said otherwise."""
    obj = {
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}], **(spec or {})},
        "status": {"phase": "Running", "conditions": READY, **(status or {})},
    }
    return pod(READER.decode(msgspec.json.encode(obj)))


def reported(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The status of a pod whose container `app` is in that state."""
    container = {"name": "app", "restartCount": 0, "ready": False, "state": state, **more}
    return {"conditions": [], "containerStatuses": [container]}


RUNNING = {"running": {"startedAt": "2026-11-21T10:00:00Z"}}
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "signal": 9}}


def test_a_pod_is_known_by_its_name_node_and_ports() -> None:
    found = told(
        labels={"b": "2", "a": "1"},
        spec={
            "containers": [
                {"name": "app", "env": [{"name": "LISTEN_ADDR", "value": "0.0.0.0:8080"}]},
                {"name": "istio-proxy", "ports": [{"containerPort": 15090}]},
                {"name": "exporter", "ports": [{"name": "metrics", "containerPort": 9102}]},
            ]
        },
    )

    assert (found.namespace, found.name, found.node) == ("shop", "web-1", "node-1")
    assert found.labels == (("a", "1"), ("b", "2"))
    assert found.declared == (8080,)
    assert (found.ready, found.deleting, trouble(found)) == (True, False, "")


@pytest.mark.parametrize(
    ("spec", "annotations", "mesh", "sidecars"),
    [
        ({}, {}, "", ()),
        ({"containers": [{"name": "app"}, {"name": "istio-proxy"}]}, {}, "istio", ("istio-proxy",)),
        (
            {"initContainers": [{"name": "linkerd-proxy", "restartPolicy": "Always"}]},
            {},
            "linkerd",
            ("linkerd-proxy",),
        ),
        ({"initContainers": [{"name": "istio-proxy"}]}, {}, "", ()),
        ({}, {"ambient.istio.io/redirection": "enabled"}, "istio-ambient", ()),
        ({}, {"ambient.istio.io/redirection": "disabled"}, "", ()),
    ],
    ids=["none", "sidecar", "native sidecar", "an init container", "ambient", "ambient off"],
)
def test_the_mesh_is_what_was_injected(
    spec: dict[str, Any], annotations: dict[str, str], mesh: str, sidecars: tuple[str, ...]
) -> None:
    found = told(spec=spec, annotations=annotations)

    assert (found.mesh, found.sidecars) == (mesh, sidecars)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        (reported(RUNNING) | {"conditions": READY}, ""),
        (reported(RUNNING), "is running and not ready"),
        (
            reported(RUNNING, restartCount=1, lastState=CRASHED),
            "app is not ready (last exit 1), restarted 1 time",
        ),
        (
            reported(RUNNING, restartCount=3, ready=True, lastState=KILLED) | {"conditions": READY},
            "",
        ),
        (
            reported({"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=7, lastState=KILLED),
            "app waits: CrashLoopBackOff (last exit 137 OOMKilled), restarted 7 times",
        ),
        (reported({"waiting": {"reason": "ImagePullBackOff"}}), "app waits: ImagePullBackOff"),
        (reported(CRASHED), "app has ended (exit 1)"),
        (reported(KILLED), "app has ended (exit 137 OOMKilled)"),
        (
            reported({"waiting": {"reason": "PodInitializing"}}) | {"phase": "Pending"},
            "is Pending",
        ),
        (reported({"waiting": {}}) | {"phase": "Pending"}, "is Pending"),
        (reported({}) | {"phase": "Pending"}, "is Pending"),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                ],
            },
            "is Pending (Unschedulable)",
        ),
        ({"phase": "Failed", "reason": "Evicted", "conditions": []}, "is Failed (Evicted)"),
        ({"phase": "", "conditions": []}, "is running and not ready"),
    ],
)
def test_what_is_wrong_with_a_pod_is_half_a_sentence(status: dict[str, Any], said: str) -> None:
    assert trouble(told(status=status)) == said


def test_a_pod_that_is_being_deleted_says_no_more_than_that() -> None:
    found = told(deletionTimestamp="2026-11-21T10:00:00Z", status=reported(CRASHED))

    assert trouble(found) == "is being deleted"


def test_an_init_container_tells_while_it_keeps_the_pod_from_starting() -> None:
    def status(*inits: dict[str, Any]) -> dict[str, Any]:
        return {
            "phase": "Pending",
            "conditions": [],
            "initContainerStatuses": [{"name": "migrate", **init} for init in inits],
        }

    done = told(status=status({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}))
    stuck = told(
        status=status({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2})
    )
    unreported = told(status=status({}))

    assert done.containers == ()
    assert trouble(stuck) == "migrate waits: CrashLoopBackOff, restarted 2 times"
    assert (unreported.containers[0].state, trouble(unreported)) == ("", "is Pending")


@pytest.mark.parametrize(
    "obj",
    [
        wire.Pod(wire.PodMeta(name="x"), wire.RunningPodSpec()),
        wire.Pod(wire.PodMeta(namespace="x"), wire.RunningPodSpec()),
        wire.Pod(wire.PodMeta(name="x", namespace="y")),
    ],
)
def test_a_pod_without_a_name_or_a_spec_is_a_bad_object(obj: wire.Pod) -> None:
    with pytest.raises(BadObject):
        pod(obj)


def test_a_pod_without_a_status_is_not_ready() -> None:
    found = pod(wire.Pod(wire.PodMeta("x", "y"), wire.RunningPodSpec()))

    assert (found.node, found.phase, found.ready, found.containers) == ("", "", False, ())


def document(*verdicts: str, edges: bool = True) -> dict[str, Any]:
    """A Service's document with a port for each verdict, the first of which is the Service's."""
    ports = [
        {"verdict": verdict, "summary": f"it is {verdict}", "edges": [{}] if edges else []}
        for verdict in verdicts
    ]
    return {
        "service": {"namespace": "shop", "name": "web"},
        "verdict": verdicts[0],
        "summary": f"it is {verdicts[0]}",
        "ports": ports,
        "advice": [],
    }


MESHED = {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}


def test_the_document_tells_the_pods_by_name() -> None:
    found = document("healthy")
    tell(found, [told("web-2", status=reported(CRASHED)), told("web-1")])

    one, two = found["pods"]
    assert one == {
        "name": "web-1",
        "node": "node-1",
        "phase": "Running",
        "ready": True,
        "deleting": False,
        "trouble": None,
        "mesh": None,
        "sidecars": [],
        "declared_ports": [],
        "containers": [],
    }
    assert (two["name"], two["trouble"]) == ("web-2", "app has ended (exit 1)")
    assert two["containers"] == [
        {
            "name": "app",
            "state": "terminated",
            "reason": "1",
            "ready": False,
            "restarts": 0,
            "last_exit": None,
        }
    ]
    assert found["verdict"] == "healthy"


def test_behind_a_mesh_that_our_watches_do_not_see_health_is_masked() -> None:
    found = document("healthy", "healthy")
    tell(found, [told(spec=MESHED)])

    assert found["verdict"] == found["ports"][1]["verdict"] == "masked"
    assert found["summary"] == (
        "it is healthy, but the istio mesh accepts every port: that proves nothing"
    )
    assert "kubectl exec -n shop POD" in found["advice"][0]


@pytest.mark.parametrize("verdict", ["port_mismatch", "unknown", "masked"])
def test_behind_a_mesh_what_is_not_healthy_stays_what_it_is(verdict: str) -> None:
    found = document(verdict, "healthy")
    tell(found, [told(spec=MESHED)])

    assert found["ports"][1]["verdict"] == "masked"
    assert (found["verdict"], found["summary"]) == (verdict, f"it is {verdict}")


def test_a_mesh_on_pods_that_go_or_ports_that_are_not_dialed_masks_nothing() -> None:
    leaving, undialed = document("healthy"), document("healthy", edges=False)
    tell(leaving, [told(spec=MESHED, deletionTimestamp="2026-11-21T10:00:00Z")])
    tell(undialed, [told(spec=MESHED)])

    assert (leaving["verdict"], undialed["verdict"]) == ("healthy", "healthy")


def test_policies_that_select_one_of_the_pods_are_named() -> None:
    def policy(name: str, **labels: str) -> NetworkPolicy:
        spec = wire.NetworkPolicySpec(podSelector=wire.LabelSelector(matchLabels=labels))
        return network_policy(wire.NetworkPolicy(wire.Meta(name, "shop"), spec))

    found = document("blackholed")
    policies = [policy("web-only", app="web"), policy("all"), policy("others", app="db")]
    tell(found, [told(labels={"app": "web", "tier": "1"}), told("web-2")], policies)

    assert found["policies"] == ["all", "web-only"]


CRASHING = {"waiting": {"reason": "CrashLoopBackOff"}}
SELECTOR = LINES[Verdict.NO_ENDPOINTS].format(ns="shop", name="web")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            reported(CRASHING, lastState=CRASHED, restartCount=2),
            "see why the pods are not ready: kubectl logs web-2 -n shop -c app --previous",
        ),
        (
            reported({"waiting": {"reason": "ImagePullBackOff"}}),
            "see why the pods are not ready: kubectl describe pod web-2 -n shop",
        ),
        ({}, SELECTOR),
    ],
    ids=["crashing", "without an image", "fine"],
)
def test_without_endpoints_the_pods_that_the_selector_finds_are_to_be_looked_at(
    status: dict[str, Any], said: str
) -> None:
    found = document("no_endpoints")
    found["advice"] = [SELECTOR, "another line"]
    tell(found, [told("web-1"), told("web-2", status=status)])

    assert found["advice"] == [said, "another line"]


def test_without_endpoints_and_pods_it_is_the_selector() -> None:
    found = document("no_endpoints")
    found["advice"] = [SELECTOR]
    tell(found, [])

    assert found["advice"] == [SELECTOR]
