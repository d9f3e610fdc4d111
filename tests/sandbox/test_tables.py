from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probe.sandbox.cells import age, duration
from probe.sandbox.tables import table

NOW = datetime.now(UTC).replace(microsecond=0)


def stamp(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, **more: Any) -> Any:
    return {"name": name, "creationTimestamp": stamp(3600 * 30), **more}


def cells(resource: str, obj: Any) -> dict[str, Any]:
    made = table(resource, [obj], now=NOW)
    names = [column["name"] for column in made["columnDefinitions"]]
    return dict(zip(names, made["rows"][0]["cells"], strict=True))


def service(**spec: Any) -> Any:
    return {"metadata": meta("s"), "spec": {"type": "ClusterIP", **spec}}


# The rows of table-services.json among the captures.
SERVICES: list[tuple[Any, list[str]]] = [
    (
        service(type="ExternalName", externalName="db.example.test"),
        ["ExternalName", "<none>", "db.example.test", "<none>", "<none>"],
    ),
    (
        service(clusterIP="None", ports=[{"port": 80, "protocol": "TCP"}],
                selector={"app": "backend-v1"}),
        ["ClusterIP", "None", "<none>", "80/TCP", "app=backend-v1"],
    ),
    (
        service(clusterIP="10.96.255.101", selector={"app": "backend-v1"},
                ports=[{"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"},
                       {"port": 81, "protocol": "TCP"}]),
        ["ClusterIP", "10.96.255.101", "<none>", "53/UDP,80/TCP,81/TCP", "app=backend-v1"],
    ),
    (
        service(type="NodePort", clusterIP="10.96.241.248",
                ports=[{"port": 80, "nodePort": 32682, "protocol": "TCP"}]),
        ["NodePort", "10.96.241.248", "<none>", "80:32682/TCP", "<none>"],
    ),
    (
        service(type="LoadBalancer", clusterIP="10.96.0.9", ports=[{"port": 80}]),
        ["LoadBalancer", "10.96.0.9", "<pending>", "80/TCP", "<none>"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "row"), SERVICES)
def test_a_service_is_shown_as_the_real_server_shows_it(obj: Any, row: list[str]) -> None:
    shown = cells("services", obj)

    assert list(shown) == [
        "Name",
        "Type",
        "Cluster-IP",
        "External-IP",
        "Port(s)",
        "Age",
        "Selector",
    ]
    assert ["s", *row[:4], "30h", row[4]] == list(shown.values())


def pod(status: Any, **metadata: Any) -> Any:
    spec = {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "node-a"}
    return {"metadata": meta("p", **metadata), "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("obj", "ready", "status", "restarts"),
    [
        (pod({"phase": "Pending"}), "0/2", "Pending", "0"),
        (
            pod(
                {
                    "phase": "Running",
                    "podIP": "127.0.0.9",
                    "containerStatuses": [
                        {"ready": True, "restartCount": 2, "state": {"running": {}}},
                        {"ready": False, "restartCount": 0, "state": {"running": {}}},
                    ],
                }
            ),
            "1/2",
            "Running",
            "2",
        ),
        (
            pod(
                {
                    "phase": "Running",
                    "containerStatuses": [
                        {
                            "ready": False,
                            "restartCount": 3,
                            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                            "lastState": {"terminated": {"finishedAt": stamp(30)}},
                        }
                    ],
                }
            ),
            "0/2",
            "CrashLoopBackOff",
            "3 (30s ago)",
        ),
        (
            pod({"phase": "Failed", "containerStatuses": [
                {"state": {"terminated": {"exitCode": 1}}}]}),
            "0/2",
            "ExitCode:1",
            "0",
        ),
        (pod({"phase": "Running"}, deletionTimestamp=stamp(0)), "0/2", "Terminating", "0"),
    ],
)  # fmt: skip
def test_a_pod_says_the_loudest_thing_about_it(
    obj: Any, ready: str, status: str, restarts: str
) -> None:
    shown = cells("pods", obj)

    assert (ready, status, restarts) == (shown["Ready"], shown["Status"], shown["Restarts"])
    assert (shown["Node"], shown["Nominated Node"]) == ("node-a", "<none>")


def test_workloads_show_their_counts() -> None:
    deployment = {
        "metadata": meta("d"),
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
    }

    assert list(cells("deployments", deployment).values()) == [
        "d",
        "2/3",
        3,
        1,
        "30h",
        "c",
        "nginx",
        "app=web",
    ]
    assert list(cells("replicasets", deployment).values()) == [
        "d",
        3,
        0,
        2,
        "30h",
        "c",
        "nginx",
        "app=web",
    ]


def test_a_slice_shows_three_of_its_addresses() -> None:
    endpoint_slice = {
        "metadata": meta("e"),
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": [f"10.0.0.{n}"]} for n in range(1, 6)],
    }

    assert list(cells("endpointslices", endpoint_slice).values()) == [
        "e",
        "IPv4",
        "80",
        "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...",
        "30h",
    ]
    empty = {"metadata": meta("e"), "addressType": "IPv4"}
    assert cells("endpointslices", empty)["Endpoints"] == "<unset>"


def test_nodes_namespaces_and_events() -> None:
    node = {
        "metadata": meta("n", labels={"node-role.kubernetes.io/worker": ""}),
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.36.0"},
        },
    }
    shown = cells("nodes", node)
    assert (
        shown["Status"],
        shown["Roles"],
        shown["Version"],
        shown["Internal-IP"],
    ) == ("Ready,SchedulingDisabled", "worker", "v1.36.0", "127.0.0.1")
    namespace = {"metadata": meta("x"), "status": {"phase": "Active"}}
    assert list(cells("namespaces", namespace).values()) == ["x", "Active", "30h"]
    event = {
        "metadata": meta("e"),
        "type": "Warning",
        "reason": "Unhealthy",
        "involvedObject": {"kind": "Pod", "name": "p"},
        "source": {"component": "kubelet", "host": "node-a"},
        "message": "refused\n",
        "count": 4,
        "firstTimestamp": stamp(600),
        "lastTimestamp": stamp(5),
    }
    shown = cells("events", event)
    assert (
        shown["Last Seen"],
        shown["Object"],
        shown["Source"],
        shown["Message"],
    ) == ("5s (x4 over 10m)", "pod/p", "kubelet, node-a", "refused")


def test_everything_else_has_a_name_and_an_age() -> None:
    shown = cells("controllerrevisions", {"metadata": meta("c")})

    assert shown == {"Name": "c", "Age": "30h"}


def test_a_row_carries_as_much_of_the_object_as_was_asked_for() -> None:
    obj = {"metadata": meta("c"), "data": {}}

    def row(include: str) -> Any:
        return table("configmaps", [obj], include=include)["rows"][0]

    assert "object" not in row("None")
    assert obj == row("Object")["object"]
    assert {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    } == row("Metadata")["object"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (10 * 60 + 5, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (2 * 86400 + 3600, "2d1h"),
        (9 * 86400, "9d"),
        (2 * 365 * 86400, "2y"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations_are_as_short_as_kubectls(seconds: int, text: str) -> None:
    assert text == duration(timedelta(seconds=seconds))


def test_an_unknown_age_is_said_to_be_unknown() -> None:
    assert age(None, NOW) == "<unknown>"
