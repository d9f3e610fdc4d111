"""The chart and what is made from it: one source, and every value of it does something."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.alerts.__main__ import RUNBOOKS
from deploy.manifests.__main__ import DEPLOY, OVERLAYS, VALUES, files
from deploy.manifests.chart import CHART, NOTES, documents, merged, render
from deploy.manifests.templates import TemplateError
from probe.core import wire
from probe.core.kube import OPT_OUT
from probe.core.labels import Labels
from probe.core.placement import placement
from probe.core.policies import Prober, Target, leaving_out, network_policy, own_addresses
from probe.daemon import ALIVE_SECONDS
from probe.settings import Settings
from tests.cluster.containers import expanded
from tests.deploy.kustomized import kustomized, overlaid

HELM = shutil.which("helm")
SET_BY_THE_CHART = {"api_key", "namespaces", "node_name", "peers", "vantage"}
OF_A_PERSON = {"context", "kubeconfig"}
"""Settings of no use in a DaemonSet."""


def one(kind: str, values: Mapping[str, Any] | None = None) -> Any:
    (found,) = (each for each in documents(values) if each["kind"] == kind)
    return found


def pod(values: Mapping[str, Any] | None = None) -> Any:
    return one("DaemonSet", values)["spec"]["template"]["spec"]


def variables(values: Mapping[str, Any]) -> dict[str, Any]:
    (container,) = pod(values)["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def as_set(found: list[dict[str, Any]]) -> dict[str, str]:
    """The DaemonSet's plain variables as a kubelet sets them."""
    (daemons,) = (each for each in found if each["kind"] == "DaemonSet")
    fields = {"metadata.namespace": daemons["metadata"]["namespace"]}
    known: dict[str, str] = {}
    for each in daemons["spec"]["template"]["spec"]["containers"][0]["env"]:
        path = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        value = fields.get(path, "") if path else each.get("value", "")
        known[each["name"]] = expanded(value, known)
    return known


def test_the_files_are_those_that_the_generator_writes() -> None:
    for name, text in files().items():
        assert (DEPLOY / name).read_text() == text, name


def test_29_the_daemons_do_not_dial_themselves_through_their_own_service() -> None:
    assert one("Service")["metadata"]["annotations"][OPT_OUT] == "false"


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from paths(value[key], (*path, key))
    else:
        yield path


def test_the_schema_knows_the_values_and_only_those() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def known(part: Any) -> set[str]:
        part = schema["definitions"][part["$ref"].split("/")[-1]] if "$ref" in part else part
        return {*part.get("properties", ())}

    of_its_parent = {"enabled", "global"}  # set where it is a dependency
    assert known(schema) == {*values} | of_its_parent
    for name, value in values.items():
        if inner := known(schema["properties"][name]):
            assert inner == {*value}, name


def test_the_chart_takes_every_setting_that_it_does_not_make_itself() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = schema["properties"]["settings"]["propertyNames"]["enum"]

    assert {*names} == {*Settings.model_fields} - SET_BY_THE_CHART - OF_A_PERSON


def test_every_value_is_used_and_explained() -> None:
    text = (CHART / "values.yaml").read_text()
    used = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    for path in paths(yaml.safe_load(text)):
        name = ".".join(path[:2])
        assert f".Values.{name}" in used or f".Values.{path[0]} " in used, path
    for block in re.split(r"\n\n", text):
        assert "#" in block, block


def test_settings_become_variables() -> None:
    found = variables({"settings": {"interval": 5, "events": False, "close": "rst"}})

    assert (found["PROBE_INTERVAL"], found["PROBE_EVENTS"]) == ("5", "false")
    assert found["PROBE_CLOSE"] == "rst"
    assert "PROBE_VANTAGE" not in found


def test_a_number_becomes_a_variable_that_a_daemon_reads() -> None:
    """Helm has every number of a values file as a float, which Go prints as 1e+06."""
    numbers = {"max_series": 1_000_000, "timeout": 2.5, "max_in_flight": 2000}
    found = variables({"settings": numbers})

    assert {name: found[f"PROBE_{name.upper()}"] for name in numbers} == {
        "max_series": "1000000",
        "timeout": "2.5",
        "max_in_flight": "2000",
    }


def test_the_address_to_listen_on_may_be_set_and_its_port_may_not() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    admitted = schema["properties"]["settings"]["patternProperties"]["^listen$"]["pattern"]

    assert variables({"settings": {"listen": "[::]:9797"}})["PROBE_LISTEN"] == "[::]:9797"
    assert re.search(admitted, "[::]:9797")
    assert not re.search(admitted, "[::]:9798")


@pytest.mark.parametrize(
    ("labels", "affinity", "admitted"),
    [
        ({}, {}, True),
        ({"type": "gpu", "eks.amazonaws.com/compute-type": "ec2"}, {}, True),
        ({"eks.amazonaws.com/compute-type": "fargate"}, {}, False),
        ({"type": "virtual-kubelet"}, {}, False),
        ({"type": "virtual-kubelet"}, {"affinity": None}, True),
        ({"kubernetes.io/os": "windows"}, {}, False),
    ],
)
def test_it_stays_off_nodes_that_run_no_daemonsets_unless_told_otherwise(
    labels: dict[str, str], affinity: dict[str, Any], admitted: bool
) -> None:
    spec = msgspec.convert(pod(affinity), type=wire.PodSpec)
    node = {"kubernetes.io/os": "linux", **labels}

    assert placement(spec).admits("node-a", tuple(node.items())) is admitted


def test_namespaces_take_a_role_in_each_and_in_its_own_and_nothing_for_the_cluster() -> None:
    found = documents({"namespaces": ["a", "b"]})
    roles = {d["metadata"]["namespace"] for d in found if d["kind"] == "Role"}
    bound = {d["metadata"]["namespace"] for d in found if d["kind"] == "RoleBinding"}

    assert roles == bound == {"a", "b", "edgeprobe"}
    assert not any(d["kind"].startswith("Cluster") for d in found)
    assert variables({"namespaces": ["a", "b"]})["PROBE_NAMESPACES"] == "a,b,edgeprobe"
    assert variables({"namespaces": ["edgeprobe"]})["PROBE_NAMESPACES"] == "edgeprobe"


def test_everything_is_in_the_release_s_namespace() -> None:
    found = documents(None, "elsewhere")

    assert {d["metadata"].get("namespace", "elsewhere") for d in found} == {"elsewhere"}
    (binding,) = (d for d in found if d["kind"] == "ClusterRoleBinding")
    assert binding["subjects"][0]["namespace"] == "elsewhere"


def test_the_key_is_made_taken_or_left_to_who_makes_the_secret() -> None:
    first, second = one("Secret")["data"]["api-key"], one("Secret")["data"]["api-key"]
    assert first != second
    assert one("Secret", {"apiKey": {"value": "k"}})["data"] == {"api-key": "aw=="}
    for values, name, optional in (
        ({}, "edgeprobe", False),
        ({"apiKey": {"create": False}}, "edgeprobe", True),
        ({"apiKey": {"existingSecret": "mine"}}, "mine", False),
    ):
        expected = {"name": name, "key": "api-key", "optional": optional}
        assert variables(values)["PROBE_API_KEY"] == {"secretKeyRef": expected}
    kinds = {d["kind"] for d in documents({"apiKey": {"existingSecret": "mine"}})}
    assert "Secret" not in kinds


@pytest.mark.parametrize("other", [{}, {"apiKey": {"create": False}}])
def test_pods_are_replaced_when_the_key_that_is_set_changes(other: dict[str, Any]) -> None:
    def mark(key: Mapping[str, Any]) -> str | None:
        template = one("DaemonSet", merged({"apiKey": key}, other))["spec"]["template"]
        found: str | None = template["metadata"]["annotations"].get("checksum/api-key")
        return found

    first, same, second = (mark({"value": key}) for key in ("one", "one", "two"))
    assert first == same
    assert (first != second) == (not other)
    assert mark({"value": "one", "existingSecret": "mine"}) is mark({}) is None


def test_an_image_is_named_by_its_digest_or_else_by_its_tag() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    digest = "sha256:" + 64 * "0"
    for image, name in (
        ({}, f"edgeprobe:{about['appVersion']}"),
        ({"repository": "r.example/p", "tag": "1"}, "r.example/p:1"),
        ({"tag": "1", "digest": digest}, f"edgeprobe@{digest}"),
    ):
        assert pod({"image": image})["containers"][0]["image"] == name


LABELS = {"app.kubernetes.io/name": "edgeprobe"}


@pytest.mark.parametrize(
    ("namespace", "labels", "address", "admitted"),
    [
        ("edgeprobe", LABELS, "10.244.1.2", True),
        ("monitoring", {"app": "prometheus"}, "10.244.1.3", True),
        ("kube-system", {"component": "kube-apiserver"}, "10.0.0.7", True),
        ("kube-system", {"component": "kube-apiserver"}, "10.0.0.8", False),
        ("edgeprobe", {"app": "web"}, "10.244.1.4", False),
        ("demo-app", LABELS, "10.244.1.5", False),
    ],
)
def test_its_policy_admits_the_daemons_prometheus_and_the_api_servers(
    namespace: str, labels: dict[str, str], address: str, admitted: bool
) -> None:
    made = one("NetworkPolicy", {"networkPolicy": {"enabled": True, "apiServers": ["10.0.0.7/32"]}})
    policy = network_policy(msgspec.json.decode(json.dumps(made), type=wire.NetworkPolicy))
    space = Labels({"kubernetes.io/metadata.name": namespace})
    prober = Prober(namespace, space, Labels(labels), own_addresses([address]))

    left_out_by = leaving_out([policy], Target(Labels(LABELS), 9797, ("http",)), prober)

    assert left_out_by == (() if admitted else ("edgeprobe",))
    assert made["spec"]["policyTypes"] == ["Ingress"]


def test_the_namespaces_of_prometheus_replace_the_one_that_is_named_by_default() -> None:
    values = {"enabled": True, "apiServers": ["10.0.0.7/32"], "prometheus": [{"team": "obs"}]}
    (rule,) = one("NetworkPolicy", {"networkPolicy": values})["spec"]["ingress"]
    spaces = [each["namespaceSelector"] for each in rule["from"] if "namespaceSelector" in each]

    assert spaces == [{"matchLabels": {"team": "obs"}}]


def test_prometheus_is_spared_what_no_dashboard_and_no_alert_reads() -> None:
    on: dict[str, Any] = {"podMonitor": {"enabled": True}}
    (endpoint,) = one("PodMonitor", on)["spec"]["podMetricsEndpoints"]
    (rule,) = endpoint["metricRelabelings"]
    dropped = re.compile(rule["regex"])
    queries = [*(path.read_text() for path in (DEPLOY / "dashboards").glob("*.json"))]
    queries.append((DEPLOY / "alerts" / "rules.yaml").read_text())
    read = [each for text in queries for each in re.findall(r"edgeprobe_edges{[^}]*}", text)]

    assert (rule["sourceLabels"], rule["action"]) == (["__name__", "kind"], "drop")
    assert dropped.fullmatch("edgeprobe_edges;service")
    assert not dropped.fullmatch("edgeprobe_edges;endpoint")
    assert read
    assert all("kind=" in each and "endpoint" in each for each in read)
    on["podMonitor"]["metricRelabelings"] = []
    (whole,) = one("PodMonitor", on)["spec"]["podMetricsEndpoints"]
    assert "metricRelabelings" not in whole


def test_a_policy_that_would_shut_the_api_servers_out_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"^networkPolicy\.apiServers is empty: name the CIDRs"):
        documents({"networkPolicy": {"enabled": True}})


@pytest.mark.parametrize("kinds", [("prometheusRule",), ("dashboards",)])
def test_alerts_and_dashboards_lead_to_the_runbooks_that_are_set(kinds: tuple[str, ...]) -> None:
    on: dict[str, Any] = {kind: {"enabled": True} for kind in kinds}
    said = "set runbooks to where you put deploy/runbooks"
    unset, made = render(on), render(on | {"runbooks": "https://wiki.example/probe/"})

    assert any(RUNBOOKS in text for text in unset.values())
    assert said in unset[NOTES]
    assert not any(RUNBOOKS in text for text in made.values())
    assert any("https://wiki.example/probe/drain_race.md" in text for text in made.values())
    assert said not in made[NOTES]
    assert said not in render()[NOTES]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_image_is_named_in_the_overlay_that_is_applied(overlay: str, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    folder = tmp_path / "deploy" / "kustomize" / "overlays" / overlay
    file = folder / "kustomization.yaml"
    text = file.read_text()
    file.write_text(text.replace("newName: edgeprobe", "newName: registry.example/ops/edgeprobe"))
    (found,) = (each for each in kustomized(folder) if each["kind"] == "DaemonSet")

    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example/ops/edgeprobe:")


def test_all_components_together_make_what_the_chart_makes_of_all_their_values(
    tmp_path: Path,
) -> None:
    components = [f"../../components/{name}" for name in OVERLAYS]
    found = by_name(overlaid(tmp_path, resources=["../../base"], components=components))
    space = found.pop(("Namespace", "", "edgeprobe"))
    wanted = by_name(documents(reduce(merged, OVERLAYS.values(), VALUES)))

    assert space["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    for each in (found, wanted):
        daemons = each["DaemonSet", "edgeprobe", "edgeprobe"]
        daemons["spec"]["template"]["spec"]["containers"][0]["env"].sort(key=itemgetter("name"))
    assert found == wanted


@pytest.mark.parametrize("namespace", ["edgeprobe", "monitoring"])
def test_the_daemons_find_each_other_in_whatever_namespace_they_are(
    namespace: str, tmp_path: Path
) -> None:
    movable = [f"../../components/{name}" for name in OVERLAYS if name != "namespaced"]
    moved = overlaid(tmp_path, namespace=namespace, resources=["../../base"], components=movable)
    for found in (documents(None, namespace), moved):
        services = [each["metadata"] for each in found if each["kind"] == "Service"]

        (own,) = (f"{each['namespace']}/{each['name']}" for each in services)
        assert as_set(found)["PROBE_PEERS"] == own == f"{namespace}/edgeprobe"


def test_the_kubelet_is_no_stricter_than_the_daemon_itself_with_what_is_late() -> None:
    (container,) = pod()["containers"]
    live, ready = container["livenessProbe"], container["readinessProbe"]

    assert live["timeoutSeconds"] * live["failureThreshold"] >= ALIVE_SECONDS
    assert ready["timeoutSeconds"] < ready["periodSeconds"]


def test_the_chart_takes_along_the_alerts_and_every_dashboard() -> None:
    on = {name: {"enabled": True} for name in ("dashboards", "prometheusRule")}
    rules = yaml.safe_load((DEPLOY / "alerts" / "rules.yaml").read_text())
    dashboards = {path.name: path.read_text() for path in (DEPLOY / "dashboards").glob("*.json")}

    assert one("PrometheusRule", on)["spec"] == rules
    maps = [d for d in documents(on) if d["kind"] == "ConfigMap"]
    assert {name: text for each in maps for name, text in each["data"].items()} == dashboards


@pytest.mark.parametrize("overlay", [None, *OVERLAYS])
def test_helm_makes_the_same(overlay: str | None, tmp_path: Path) -> None:
    if HELM is None:
        pytest.skip("helm is not in $PATH, and no package helps")
    values = merged(VALUES, OVERLAYS[overlay]) if overlay else VALUES
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    made = subprocess.run(
        [HELM, "template", "edgeprobe", str(CHART), "-n", "edgeprobe", "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    helm = [each for each in yaml.safe_load_all(made.stdout) if each]

    assert by_name(helm) == by_name(documents(values))


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, ...], Any]:
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in found
    }


def test_the_notes_say_how_to_ask_the_daemons() -> None:
    notes = render({"apiKey": {"existingSecret": "mine"}}, "elsewhere")["NOTES.txt"]

    assert "PROBE_PEERS=elsewhere/edgeprobe" in notes
    assert "get secret mine" in notes
