from typing import Any

import pytest

from probe.sandbox.defaults import SERVICE_NETWORK, ServiceAddresses, fill
from probe.sandbox.store import Store
from tests.sandbox.conftest import Client

RANGE = "must be between 1 and 65535, inclusive"


def service(*ports: Any, **more: Any) -> Any:
    return {"metadata": {"name": "b"}, "spec": {"ports": list(ports), **more}}


def workload(labels: Any, **more: Any) -> Any:
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }
    spec = {"selector": {"matchLabels": {"app": "e"}}, "template": template, **more}
    return {"metadata": {"name": "e"}, "spec": spec}


# (path, object, the message of a 1.36 API server)
INVALID: list[tuple[str, Any, str]] = [
    (
        "/api/v1/namespaces/default/services",
        service({"port": 0}, {"port": 70000, "targetPort": 90000}),
        'Service "b" is invalid: [spec.ports[0].name: Required value, '
        f"spec.ports[0].port: Invalid value: 0: {RANGE}, "
        f"spec.ports[0].targetPort: Invalid value: 0: {RANGE}, "
        "spec.ports[1].name: Required value, "
        f"spec.ports[1].port: Invalid value: 70000: {RANGE}, "
        f"spec.ports[1].targetPort: Invalid value: 90000: {RANGE}]",
    ),
    (
        "/api/v1/namespaces/default/services",
        service(),
        'Service "b" is invalid: spec.ports: Required value',
    ),
    (
        "/api/v1/namespaces/default/services",
        service({"port": 80, "targetPort": "has_underscore"}),
        'Service "b" is invalid: spec.ports[0].targetPort: Invalid value: "has_underscore": must '
        "contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    ),
    (
        "/api/v1/namespaces/default/services",
        service({"name": "a", "port": 80}, {"name": "a", "port": 81}),
        'Service "b" is invalid: spec.ports[1].name: Duplicate value: "a"',
    ),
    (
        "/api/v1/namespaces/default/configmaps",
        {},
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    (
        "/api/v1/namespaces/default/pods",
        {"metadata": {"name": "q"}, "spec": {}},
        'Pod "q" is invalid: spec.containers: Required value',
    ),
    (
        "/apis/apps/v1/namespaces/default/deployments",
        workload({"app": "d"}),
        'Deployment.apps "e" is invalid: spec.template.metadata.labels: Invalid value: '
        '{"app":"d"}: `selector` does not match template `labels`',
    ),
    (
        "/apis/apps/v1/namespaces/default/deployments",
        {"metadata": {"name": "e"}, "spec": {}},
        'Deployment.apps "e" is invalid: [spec.selector: Required value, '
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template "
        "`labels`, spec.template.spec.containers: Required value]",
    ),
]


@pytest.mark.parametrize(("path", "obj", "message"), INVALID)
async def test_what_is_invalid_is_refused_in_the_words_of_the_real_server(
    api: Client, path: str, obj: Any, message: str
) -> None:
    code, refused = await api("POST", path, obj)

    assert (422, "Invalid", message) == (code, refused["reason"], refused["message"])


async def test_a_name_must_be_one(api: Client) -> None:
    bad = {**service({"port": 80}), "metadata": {"name": "Bad_Name"}}

    code, refused = await api("POST", "/api/v1/namespaces/default/services", bad)

    assert code == 422
    assert "a lowercase RFC 1123 label must consist of" in refused["message"]
    assert [
        {k: v for k, v in c.items() if k != "message"} for c in refused["details"]["causes"]
    ] == [{"reason": "FieldValueInvalid", "field": "metadata.name"}]


async def test_a_selector_is_immutable(api: Client) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    await api("POST", path, workload({"app": "e", "x": "y"}))

    changed = workload({"app": "e", "x": "y"})
    changed["spec"]["selector"] = {"matchLabels": {"x": "y"}}
    code, refused = await api("PUT", f"{path}/e", changed)

    assert (code, refused["message"]) == (
        422,
        'Deployment.apps "e" is invalid: spec.selector: Invalid value: '
        '{"matchLabels":{"x":"y"}}: field is immutable',
    )


async def test_a_pod_changes_in_its_image_only(api: Client) -> None:
    path = "/api/v1/namespaces/default/pods"
    pod: Any = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]},
    }
    await api("POST", path, pod)

    pod["spec"]["containers"][0]["image"] = "a:2"
    assert (await api("PUT", f"{path}/p", pod))[0] == 200
    pod["spec"]["containers"][0]["name"] = "d"
    code, refused = await api("PUT", f"{path}/p", pod)
    assert code == 422
    assert "pod updates may not change fields other than" in refused["message"]


async def test_a_cluster_ip_stays_through_updates_and_may_not_change(api: Client) -> None:
    path = "/api/v1/namespaces/default/services"
    await api("POST", path, service({"port": 80}, type="NodePort"))
    _, before = await api("GET", f"{path}/b")
    assert before["spec"]["ports"][0]["nodePort"] in range(30000, 32768)

    _, after = await api("PUT", f"{path}/b", service({"port": 80}, type="NodePort"))
    assert before["spec"] == after["spec"]
    code, refused = await api("PUT", f"{path}/b", service({"port": 80}, clusterIP="127.96.9.9"))
    assert code == 422
    assert "may not change once set" in refused["message"]
    _, plain = await api("PUT", f"{path}/b", service({"port": 80}))
    assert "nodePort" not in plain["spec"]["ports"][0]


async def test_headless_and_external_services_get_no_address(api: Client) -> None:
    path = "/api/v1/namespaces/default/services"
    headless = service(clusterIP="None", selector={"a": "b"})
    external = {"metadata": {"name": "x"}, "spec": {"type": "ExternalName", "externalName": "a.b"}}

    _, made = await api("POST", path, headless)
    assert (made["spec"]["clusterIP"], made["spec"]["clusterIPs"]) == ("None", ["None"])
    _, made = await api("POST", path, external)
    assert made["spec"] == {
        "type": "ExternalName",
        "sessionAffinity": "None",
        "externalName": "a.b",
    }


async def test_a_slice_with_an_address_nobody_may_dial_is_stored(api: Client) -> None:
    endpoint_slice = {
        "metadata": {"name": "x"},
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["0.0.0.0"]}],
    }

    code, made = await api(
        "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", endpoint_slice
    )

    assert (code, made["ports"]) == (201, [{"port": 80, "name": "", "protocol": "TCP"}])


def test_a_deployment_is_filled_in_as_the_real_server_does() -> None:
    obj = workload({"app": "e"})
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80}]
    container["readinessProbe"] = {"tcpSocket": {"port": 80}}

    fill("deployments", obj)

    assert obj["spec"] == {
        "replicas": 1,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
        },
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "selector": {"matchLabels": {"app": "e"}},
        "template": {
            "metadata": {"labels": {"app": "e"}},
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "nginx",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {},
                        "readinessProbe": {
                            "tcpSocket": {"port": 80},
                            "timeoutSeconds": 1,
                            "periodSeconds": 10,
                            "successThreshold": 1,
                            "failureThreshold": 3,
                        },
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "imagePullPolicy": "Always",
                    }
                ],
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        },
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("nginx@sha256:0", "IfNotPresent"),
    ],
)
def test_an_image_is_pulled_when_its_tag_may_move(image: str, policy: str) -> None:
    pod: Any = {"spec": {"containers": [{"name": "c", "image": image}]}}

    fill("pods", pod)

    assert policy == pod["spec"]["containers"][0]["imagePullPolicy"]


def test_an_address_given_back_is_the_last_to_be_given_out_again() -> None:
    store = Store()
    addresses = ServiceAddresses(store)

    def take(name: str) -> str:
        address = addresses.cluster_ip()
        store.create("services", {"metadata": {"name": name}, "spec": {"clusterIP": address}})
        return address

    first, second = take("a"), take("b")
    store.delete("services", "", "a")

    assert [first, second, take("c")] == ["127.96.0.1", "127.96.0.2", "127.96.0.3"]
    assert SERVICE_NETWORK.num_addresses == 65536


async def test_a_secret_in_plain_text_is_kept_as_data(api: Client) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"k": "value"}}

    _, made = await api("POST", "/api/v1/namespaces/default/secrets", secret)

    assert (made["data"], made["type"]) == ({"k": "dmFsdWU="}, "Opaque")
    assert "stringData" not in made
