"""Service ports against the ports of the pods behind them."""

import pytest

from probe.lint.rules.ports import is_slip
from tests.lint.rules.manifest import (
    LISTENS,
    PROBED,
    config_map,
    findings,
    rules,
    said,
    service,
    workload,
)

BARE = "{name: web, ports: [{containerPort: 8080}]}"
DECLARES = "{name: web, ports: [{name: http, containerPort: 8080}]}"


def test_the_first_incident_is_one_error_with_its_edit() -> None:
    found = findings(service("{port: 8080, targetPort: 8081}") + workload(LISTENS))
    errors = [f for f in found if f.severity == "error"]
    assert [f.rule.id for f in errors] == ["target-port-mismatch"]
    edit = errors[0].edit
    assert edit is not None
    assert (edit.line, edit.old, edit.new) == (8, "8081", "8080")
    assert "env LISTEN_ADDR=0.0.0.0:8080" in errors[0].message
    assert errors[0].fix == "set targetPort to 8080"


@pytest.mark.parametrize(
    ("port", "container"),
    [
        ("{port: 80, targetPort: 8080}", LISTENS),
        ("{port: 80, targetPort: 8080}", DECLARES),
        ("{port: 80, targetPort: http}", DECLARES),
        ("{port: 8080}", DECLARES),
        ("{port: 8080, targetPort: 0}", DECLARES),
        ("{port: 80, targetPort: 3000}", "{name: web}"),  # containerPorts are optional
        ("{port: 80, targetPort: 3000, protocol: UDP}", DECLARES),
        ("{port: 80, targetPort: 9000, protocol: SCTP}", DECLARES),
        ("{port: 80, targetPort: '{{ port }}'}", DECLARES),
        ("{port: 80, targetPort: $(PORT)}", DECLARES),
        ("{port: 80, targetPort: PORT}", DECLARES),
        ("{port: 80, targetPort: 15020}", DECLARES),  # istio's sidecar
        ("{port: 80, targetPort: linkerd-admin}", DECLARES),
        ("{port: 80, targetPort: 9000}", "{name: web, ports: [{name: metrics, containerPort: 1}]}"),
        ("{port: 80, targetPort: 9000}", "{name: web, ports: [{name: webhook, containerPort: 1}]}"),
        (
            "{port: 80, targetPort: 9000}",  # an application answers probes on a port of its own
            "{name: web, readinessProbe: {httpGet: {port: 8080}}}",
        ),
        (
            "{port: 80, targetPort: 9000}",
            "{name: web, args: [--also=9000], ports: [{containerPort: 8080}]}",
        ),
        ("{port: 80, targetPort: 9000}", "{image: auto, ports: [{containerPort: 8080}]}"),
    ],
)
def test_ports_that_fit_or_may_fit_are_no_findings(port: str, container: str) -> None:
    text = workload(container).replace("image: web:1, image: auto", "image: auto")
    assert rules(service(port) + text) == []


@pytest.mark.parametrize(
    ("port", "container", "severity", "edit"),
    [
        ("{port: 80, targetPort: 8081}", DECLARES, "error", ("8081", "8080")),
        ("{port: 80, targetPort: 8081}", LISTENS, "error", ("8081", "8080")),
        ("{port: 8081}", LISTENS, "error", None),  # there is no targetPort to rewrite
        (
            "{port: 80, targetPort: 8081}",
            "{name: web, ports: [{name: a, containerPort: 8080}, {name: b, containerPort: 8082}]}",
            "warning",
            None,  # which of the two is meant cannot be told
        ),
        ("{port: 80, targetPort: 9000}", DECLARES, "warning", None),  # a name is no proof
        ("{port: 80, targetPort: 9000, name: http}", DECLARES, "error", ("9000", "8080")),
        ("{port: 80, targetPort: 9000}", PROBED, "error", ("9000", "8080")),
        ("{port: 443, targetPort: 8443}", PROBED, "warning", None),  # TLS, beside what is declared
        ("{port: 80, targetPort: 8081}", BARE, "error", ("8081", "8080")),
        ("{port: 8081}", BARE, "warning", None),
        (
            "{port: 5433, targetPort: 5433}",
            "{name: db, image: 'docker.io/postgres:17', ports: [{containerPort: 5432}]}",
            "warning",
            None,
        ),
        (
            "{port: 61616}",
            "{name: mq, ports: [{name: a, containerPort: 1}, {name: http, containerPort: 8080}]}",
            "warning",
            None,
        ),
        ("{port: 80, targetPort: 9000}", LISTENS, "error", ("9000", "8080")),
        ("{port: 80, targetPort: 80}", BARE, "warning", None),
        ("{port: 9000}", BARE, "warning", None),
        ("{port: 9000}", LISTENS, "error", None),
        ("{port: 80, targetPort: 9000}", BARE, "warning", None),  # such are often wrong
        (
            "{port: 80, targetPort: 9000}",
            "{name: web, ports: [{containerPort: 8080}], readinessProbe: {grpc: {port: 8080}}}",
            "error",
            ("9000", "8080"),
        ),
        ("{port: 80, targetPort: 8081, name: metrics}", DECLARES, "warning", None),
        (
            "{port: 80, targetPort: 9002}",  # a probe shows that it opens what it does not declare
            "{name: web, ports: [{containerPort: 8000}], livenessProbe: {httpGet: {port: 8080}}}",
            "warning",
            None,
        ),
        (
            "{port: 80, targetPort: 8081}",  # it may well be told to listen there
            "{name: web, ports: [{containerPort: 8080}], envFrom: [{configMapRef: {name: x}}]}",
            "warning",
            None,
        ),
    ],
)
def test_a_number_that_nothing_declares(
    port: str, container: str, severity: str, edit: tuple[str, str] | None
) -> None:
    every = findings(service(port) + workload(container))
    (found,) = [f for f in every if f.rule.id == "target-port-mismatch"]
    assert found.severity == severity
    assert (found.edit and (found.edit.old, found.edit.new)) == edit


def test_a_number_in_quotes_is_a_name_that_the_api_refuses() -> None:
    every = findings(service("{port: 80, targetPort: '8080'}") + workload(DECLARES))
    (found,) = [f for f in every if f.rule.id == "target-port-name"]
    assert (found.severity, found.fix) == ("error", "set targetPort to 8080, without quotes")
    assert found.edit is not None
    assert (found.edit.old, found.edit.new) == ("'8080'", "8080")


def test_a_second_port_of_the_service_may_lead_to_one_that_is_not_declared() -> None:
    for second in (9000, 8081):  # the latter is no slip, as the first one is right
        ports = "{name: a, port: 80, targetPort: 8080}", f"{{port: 81, targetPort: {second}}}"
        assert said(service(*ports) + workload(DECLARES)) == [
            ("target-port-mismatch", "info", f"- {ports[1]}")
        ]


def test_so_may_one_of_a_second_service() -> None:
    text = service("{port: 80, targetPort: http}") + workload(DECLARES)
    assert said(text + service("{port: 81, targetPort: 9000}", name="other")) == [
        ("target-port-mismatch", "info", "- {port: 81, targetPort: 9000}")
    ]


def test_but_a_slip_of_the_keyboard_is_an_error_there_too() -> None:
    text = service("{port: 80, targetPort: http}") + workload(DECLARES)
    found = findings(text + service("{port: 81, targetPort: 8081}", name="other"))
    assert [(f.severity, f.fix) for f in found if f.rule.id == "target-port-mismatch"] == [
        ("error", "set targetPort to 8080")
    ]


@pytest.mark.parametrize(
    ("declared", "target", "slip"),
    [
        (8080, 8081, True),
        (8081, 8080, True),
        (8080, 8008, True),
        (8080, 80800, True),
        (8080, 808, True),
        (8080, 80, True),
        (80, 8080, False),  # an image without root
        (443, 8443, False),
        (8443, 80, False),
        (8080, 8443, False),
        (8080, 8080, False),
        (1234, 4231, False),
    ],
)
def test_what_a_slip_of_the_keyboard_makes(declared: int, target: int, slip: bool) -> None:
    assert is_slip(declared, target) is slip


def test_a_port_that_a_config_map_of_the_pods_names_may_be_one() -> None:
    text = service("{port: 80, targetPort: 443}") + workload(
        "{name: web, ports: [{containerPort: 80}]}",
        more="volumes: [{name: conf, configMap: {name: settings}}]",
    )
    assert rules(text + config_map("app.conf: 'server { listen 443 ssl; }'")) == []
    assert rules(text + config_map("app.conf: 'server { listen 80; }'")) == ["target-port-mismatch"]


@pytest.mark.parametrize(
    "env",
    [
        "envFrom: [{configMapRef: {name: settings}}]",
        "envFrom: [{configMapRef: {name: settings}, prefix: WEB_}]",
        "env: [{name: PORT, valueFrom: {configMapKeyRef: {name: settings, key: LISTEN_PORT}}}]",
    ],
)
def test_a_config_map_may_tell_where_to_listen(env: str) -> None:
    text = workload(f"{{name: web, {env}}}") + config_map("LISTEN_PORT: '8080'")
    assert rules(service("{port: 80, targetPort: 8080}") + text) == []
    assert rules(service("{port: 80, targetPort: 9000}") + text) == ["target-port-mismatch"]


def test_a_headless_service_is_in_nobodys_way() -> None:
    more = "clusterIP: None\n  selector: {app: web}"
    text = service("{port: 80, targetPort: 81}", more=more)
    assert [(s.rule, s.severity) for s in said(text + workload(DECLARES))] == [
        ("target-port-mismatch", "warning")
    ]


@pytest.mark.parametrize(
    ("container", "message", "edit"),
    [
        (DECLARES, "has a port named web: it has http", "http"),
        ("{name: web, ports: [{containerPort: 8080}]}", "it has 8080", "8080"),
        ("{name: web}", "it declares no ports", None),
        (
            "{name: web, ports: [{name: web, containerPort: 53, protocol: UDP}]}",
            "targetPort web is a UDP port of Deployment web, but the Service's port 80 is TCP",
            None,
        ),
        (
            "{name: web, ports: [{name: a, containerPort: 1}, {name: b, containerPort: 2}]}",
            "a, b",
            None,
        ),
    ],
)
def test_a_name_that_no_container_has(container: str, message: str, edit: str | None) -> None:
    found = findings(service("{port: 80, targetPort: web}") + workload(container))
    (error,) = [f for f in found if f.severity == "error"]
    assert error.rule.id == "target-port-name"
    assert message in error.message
    assert (error.edit and error.edit.new) == edit


def test_quotes_stay_around_a_name() -> None:
    found = findings(service('{port: 80, targetPort: "web"}') + workload(DECLARES))
    assert [(f.edit.old, f.edit.new) for f in found if f.edit] == [('"web"', '"http"')]


@pytest.mark.parametrize(
    "more",
    [
        "initContainers: [{name: p, restartPolicy: Always, ports: [{name: x, containerPort: 9}]}]",
        "",
    ],
)
def test_native_sidecars_have_ports_and_init_containers_have_not(more: str) -> None:
    text = service("{port: 80, targetPort: x}")
    assert rules(
        text + workload(DECLARES, more=more.replace("{name: p", "{image: p, name: p"))
    ) == ([] if more else ["target-port-name"])
    plain = more.replace("restartPolicy: Always, ", "")
    assert rules(text + workload(DECLARES, more=plain)) == ["target-port-name"]


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("ReplicaSet", "apps/v1"),
        ("Pod", "v1"),
        ("Rollout", "argoproj.io/v1alpha1"),
        ("Job", "batch/v1"),
        ("CronJob", "batch/v1"),
        ("ReplicationController", "v1"),
    ],
)
def test_every_kind_that_makes_pods_is_looked_at(kind: str, version: str) -> None:
    made = workload(DECLARES, kind=kind, version=version)
    assert rules(service("{port: 80, targetPort: 8081}") + made) == ["target-port-mismatch"]
    assert rules(service("{port: 80, targetPort: 8080}") + made) == []


def test_a_kind_of_another_group_makes_none() -> None:
    made = workload(DECLARES, version="example.com/v1")
    assert rules(service("{port: 80, targetPort: 8081}") + made) == []


def test_a_rollout_uses_the_template_of_its_deployment() -> None:
    rollout = """
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Rollout
        metadata: {name: web}
        spec:
          workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
        """
    text = service("{port: 80, targetPort: 8081}") + workload(DECLARES)
    assert rules(text, rollout) == ["target-port-mismatch"]


def test_of_several_workloads_some_may_lack_the_port() -> None:
    other = workload("{name: db, ports: [{containerPort: 5432}]}", name="db")
    text = workload(DECLARES) + other
    for port in ("{port: 80, targetPort: 8080}", "{port: 80, targetPort: http}"):
        assert [(s.rule, s.severity) for s in said(service(port) + text)] == [
            ("selector-mixed-ports", "warning")
        ]


def test_a_canary_with_the_same_ports_is_fine() -> None:
    canary = workload(DECLARES, name="web-canary", labels="{app: web, track: canary}")
    assert rules(service("{port: 80, targetPort: http}") + workload(DECLARES) + canary) == []
    assert rules(service("{port: 80, targetPort: 81}") + workload(DECLARES) + canary) == [
        "target-port-mismatch"
    ]


def test_a_jobs_pods_are_not_meant_where_there_are_others() -> None:
    job = workload("{name: job, ports: [{containerPort: 1}]}", kind="Job", version="batch/v1")
    assert rules(service("{port: 80, targetPort: 8080}") + workload(DECLARES) + job) == []


def test_a_patch_is_no_workload_and_adds_to_one() -> None:
    patch = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          template:
            spec:
              containers:
                - name: proxy
                  image: proxy:1
                  ports: [{name: https, containerPort: 8443}]
        """
    base = service("{port: 443, targetPort: https}") + workload(DECLARES)
    assert rules(base__all=base) == ["target-port-name"]
    assert rules(base__all=base, overlay__patch=patch) == []


def test_helm_hooks_are_not_behind_a_service() -> None:
    hook = workload("{name: test, ports: [{containerPort: 1}]}", kind="Pod", version="v1")
    hook = hook.replace("metadata: {", "metadata: {annotations: {helm.sh/hook: test}, ", 1)
    assert rules(service("{port: 80, targetPort: 8080}") + workload(DECLARES) + hook) == []


def test_the_nearest_workload_counts() -> None:
    elsewhere = workload("{name: web, ports: [{containerPort: 9999}]}", name="other")
    mine = service("{port: 80, targetPort: 8080}") + workload(DECLARES)
    assert rules(one__web=mine, two__web=elsewhere) == []


def test_each_version_of_an_object_belongs_to_its_own_directory() -> None:
    old = service("{port: 80, targetPort: 8080}"), workload(DECLARES)
    new = service("{port: 80, targetPort: 9090}"), workload(DECLARES.replace("8080", "9090"))
    assert rules(a__svc=old[0], a__web=old[1], b__svc=new[0], b__web=new[1]) == []
    assert rules(a__svc=old[0], a__web=new[1], b__svc=new[0], b__web=new[1]) == [
        "target-port-mismatch"
    ]
