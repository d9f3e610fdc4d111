"""Addresses in env, arguments, probes, hooks, ConfigMaps and EndpointSlices."""

import pytest

from tests.lint.rules.manifest import Said, config_map, findings, said, service, workload


def env(name: str, value: str, more: str = "") -> str:
    return workload(f"{{name: web, env: [{{name: {name}, value: '{value}'}}]{more}}}")


OWN = ", ports: [{containerPort: 8080}]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKEND_ADDR", "0:80"),
        ("BACKEND_URL", "http://0:80"),
        ("UPSTREAM", "0:80"),
        ("DB_HOST", "0x0:5432"),
        ("API_ENDPOINT", "0.0:80"),
        ("TARGET", "0.0.0.0:80"),
        ("REDIS_ADDR", "0.0.0.0:6379"),
        ("REDIS_URL", "redis://:secret@0.0.0.0:6379/0"),
        ("PEERS", "a:80,0:80,b:80"),
        ("BACKEND_URL", "http://[::]:80/"),
        ("BACKEND_URL", "http://[::ffff:0.0.0.0]:80/"),
        ("BACKEND_URL", "http://0.0.0.0/"),
        ("BACKEND_URL", "http://:80/"),
        ("DB_URL", "jdbc:mysql://0.0.0.0:3306/x"),
        ("MONGO_URL", "mongodb://a:27017,0.0.0.0:27017/db"),
        ("GRPC_TARGET", "dns:///0.0.0.0:80"),
        ("zookeeper.connect", "0.0.0.0:2181"),
        ("UPSTREAM_URL", "tcp://0.0.0.0:80"),
        ("EXTERNAL_ADDRESS", "tcp://0.0.0.0:26656"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://0.0.0.0:9092"),
    ],
)
def test_zero_addresses_to_connect_to(name: str, value: str) -> None:
    assert [(s.rule, s.severity) for s in said(env(name, value))] == [("zero-address", "error")]
    file = config_map(f"{name}: '{value}'")
    assert [(s.rule, s.severity) for s in said(file)] == [("zero-address", "error")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN_ADDR", "0.0.0.0:8080"),
        ("LISTEN_ADDR", "0:8080"),
        ("BIND_ADDRESS", "[::]:0"),
        ("HTTP_ADDR", ":8080"),
        ("ADDR", "0.0.0.0:80"),
        ("ASPNETCORE_URLS", "http://0.0.0.0:80"),
        ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092"),
        ("HOST", "0.0.0.0"),
        ("FASTIFY_ADDRESS", "0.0.0.0"),
        ("BACKEND_ADDR", "backend:80"),
        ("BACKEND_TIMEOUT", "0:30"),
        ("RATIO", "0:1"),
        ("ALLOWED_HOSTS", "0.0.0.0/0"),
        ("IMAGE", "registry:5000/web:0"),
        ("BACKEND_URL", "http://${HOST}:0"),
        ("BACKEND_URL", "{{ url }}"),
        ("BACKEND_URL", "http://[not an address"),
        ("SERVER", "0"),
        ("TRACING_URL", "localhost:0"),
        ("START", "00:00:00"),
        ("OPENING_TARGET", "00:30"),
        ("MIDNIGHT_TARGET", "0:00"),
        ("SYNC_TARGET", "0:1"),
        ("UPTIME_WINDOW_TARGET", "0:30"),
        ("ASPECT_TARGET", "0:16"),
        ("TIME_TARGET", "0:99999"),
        ("REPORT", "http://web/x?ids=1,0:80"),
        ("DATA_URL", "file:///0:80"),
        ("MAC_ADDRESS", "00:00:5e:00:53:af"),
        ("ADDRESS", "fe80::1"),
        ("LIVENESS_LISTENER", "http://0.0.0.0:80"),
    ],
)
def test_what_listens_or_is_no_address(name: str, value: str) -> None:
    assert said(env(name, value)) == []
    assert said(config_map(f"{name}: '{value}'")) == []


@pytest.mark.parametrize(
    ("name", "value", "more"),
    [
        ("FRONT_ADDR", "0.0.0.0:80", ""),
        ("APP_URL", "http://0.0.0.0:8080", OWN),
        ("BACKEND_ADDR", "0.0.0.0:8080", OWN),
        ("DB_HOST", "0.0.0.0", ""),
        ("CALLBACK", "http://0.0.0.0:80", ""),
        ("PGHOST", "0.0.0.0", ""),
        ("PGHOST", "0.0.0.0", OWN),
        ("ZMQ_URL", "tcp://0.0.0.0:5555", OWN),
        ("RTMP_URL", "rtmp://0.0.0.0:1935", ""),
        ("CSI_ENDPOINT", "tcp://0.0.0.0:10000", ""),
        ("SYSLOG_URL", "udp://0.0.0.0:514", OWN),
    ],
)
def test_what_may_be_to_listen_on_is_a_warning(name: str, value: str, more: str) -> None:
    found = [(s.rule, s.severity) for s in said(env(name, value, more))]
    assert found == [("zero-address", "warning")]


def test_all_addresses_with_a_port_of_its_own_are_to_listen_on() -> None:
    assert said(env("OLLAMA_HOST", "0.0.0.0:8080", OWN)) == []
    for flag in ("--liveness=http://0.0.0.0:80/healthz", "--remote-write.address=0.0.0.0:8080"):
        assert said(workload(f"{{name: web, args: ['{flag}']{OWN}}}")) == []
    targets = """
        prometheus.yml: |
          static_configs:
            - targets: [0.0.0.0:9090]
    """  # itself, by an address that works as well
    assert said(config_map(targets)) == []


@pytest.mark.parametrize(
    "args",
    [
        "[dockerd, '--host=tcp://0.0.0.0:2375']",
        "[-H, 'tcp://0.0.0.0:2375']",
        "['--rpc.laddr=tcp://0.0.0.0:26657']",
    ],
)
def test_listeners_in_the_form_of_urls(args: str) -> None:
    assert said(workload(f"{{name: web, args: {args}}}")) == []


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        ("db:0", "error"),
        ("jdbc:postgresql://db:0/x", "error"),
        ("mongodb://a:27017,b:99999/x", "error"),
        ("dns:///db:0", "error"),
        ("db:65536", "error"),
        ("http://db.example.com:99999/x", "error"),
        ("10.0.0.1:70000", "error"),
        ("[2001:db8::1]:70000", "error"),
    ],
)
def test_ports_that_there_are_not(value: str, severity: str) -> None:
    assert [(s.rule, s.severity) for s in said(env("DB_ADDR", value))] == [
        ("port-out-of-range", severity)
    ]


@pytest.mark.parametrize(
    "more",
    [
        "args: [--redis-addr, '0:6379']",
        "args: ['--redis-addr=0:6379']",
        "args: ['-Dredis.url=redis://0:6379']",
        "command: [sh, -c, 'sleep 1; curl http://0:80/ | cat']",
        "readinessProbe: {exec: {command: [wget, 'http://0:80/']}}",
        'lifecycle: {preStop: {exec: {command: [sh, -c, "API_URL=0:80 run"]}}}',
        "lifecycle: {preStop: {httpGet: {host: 0.0.0.0, port: 80}}}",
        "livenessProbe: {httpGet: {host: '0', port: 80}}",
        "livenessProbe: {tcpSocket: {host: '::', port: 80}}",
    ],
)
def test_arguments_probes_and_hooks(more: str) -> None:
    text = workload(f"{{name: web, {more}}}")
    assert [(s.rule, s.severity) for s in said(text)] == [("zero-address", "error")]


def test_init_containers_are_told_addresses_too() -> None:
    more = "initContainers: [{name: wait, image: a, args: ['--server=0:80']}]"
    assert [s.rule for s in said(workload(more=more))] == ["zero-address"]


FILES = """
    app.yaml: |
      server:
        address: 0.0.0.0:8080
      # backend: 0:80
      backend:
        address: 0:80       # one
        timeout: 0:30
      targets:
        - 0:81
    app.properties: |
      backend.url=0:82
      listen=0.0.0.0:80
    nginx.conf: |
      upstream api {
        server 0:83 weight=5;
      }
      server {
        listen 0.0.0.0:80;
        location / { proxy_pass http://0.0.0.0:84/; }
      }
    app.json: '{"name": "a", "backend": {"url": "http://0:85/x"}}'
    app.toml: |
      [backend]
      addr = "0:86"
    prometheus.yml: |
      static_configs:
        - targets: ["0:87"]
    collector.yaml: |
      receivers:
        otlp:
          protocols:
            grpc:
              endpoint: 0.0.0.0:4317
      exporters:
        prometheus:
          endpoint: 0.0.0.0:8889
        otlp:
          endpoint: 0:88
"""


def test_files_in_config_maps_have_one_finding_for_each_value() -> None:
    assert said(config_map(FILES)) == [
        Said("zero-address", "error", line)
        for line in (
            "address: 0:80       # one",
            "- 0:81",
            "backend.url=0:82",
            "server 0:83 weight=5;",
            "location / { proxy_pass http://0.0.0.0:84/; }",
            'app.json: \'{"name": "a", "backend": {"url": "http://0:85/x"}}\'',
            'addr = "0:86"',
            '- targets: ["0:87"]',
            "endpoint: 0:88",
        )
    ]


def test_the_message_says_where_it_leads() -> None:
    (found,) = [f for f in findings(env("BACKEND_ADDR", "0:80")) if f.severity == "error"]
    assert found.message == (
        "BACKEND_ADDR is 0:80: 0 is the zero address, so whoever dials it reaches itself"
    )


def test_the_message_holds_no_password() -> None:
    value = "postgres://app:hunter2@0:5432/db?password=hunter2"
    (found,) = [f for f in findings(env("DB_URL", value)) if f.rule.id == "zero-address"]

    assert found.message.startswith("DB_URL is postgres://...@0:5432/db?...: 0 is the zero address")


def test_the_message_names_no_flag_that_is_not_about_the_address() -> None:
    (found,) = [
        f
        for f in findings(workload("{name: web, args: [wget, -qO-, 'http://0:80']}"))
        if f.rule.id == "zero-address"
    ]
    assert found.message.startswith("http://0:80: 0 is the zero address")


def test_literals_of_a_kustomization() -> None:
    text = """
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        configMapGenerator:
          - name: settings
            literals:
              - LISTEN_ADDR=0.0.0.0:8080
              - API_URL=http://0.0.0.0:8080
              - BACKEND_URL=http://0:80
    """
    assert said(text) == [
        ("zero-address", "error", "- API_URL=http://0.0.0.0:8080"),
        ("zero-address", "error", "- BACKEND_URL=http://0:80"),
    ]
    reads = f"{{name: web, envFrom: [{{configMapRef: {{name: settings}}}}]{OWN}}}"
    assert said(text, workload(reads))[0].severity == "warning"


@pytest.mark.parametrize(
    ("ports", "count"),
    [
        ("{port: 70000}", 1),
        ("{port: 0}", 0),
        ("{port: 80, targetPort: 80801}", 1),
        ("{port: 80, targetPort: -1}", 1),
        ("{port: 65535, targetPort: 0}", 0),
        ("{port: 80, targetPort: http}", 0),
        ("{port: PORT}", 0),
    ],
)
def test_ports_of_a_service_that_there_are_not(ports: str, count: int) -> None:
    expected = [("port-out-of-range", "error", f"- {ports}")] * count
    assert said(service(ports)) == expected


@pytest.mark.parametrize(
    ("port", "count"),
    [
        ("containerPort: 99999", 1),
        ("containerPort: 0", 0),
        ("containerPort: 80, hostPort: 80801", 1),
        ("containerPort: 65535, hostPort: 0", 0),
    ],
)
def test_ports_of_a_container_that_there_are_not(port: str, count: int) -> None:
    found = said(workload(f"{{name: web, ports: [{{{port}}}]}}"))
    assert [(s.rule, s.severity) for s in found] == [("port-out-of-range", "error")] * count


SLICE = """
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata: {name: web}
    addressType: IPv4
    endpoints:
      - addresses:
          - 10.0.0.1
          - 0.0.0.0
    ports:
      - port: 80
      - port: 65536
    """
ENDPOINTS = """
    apiVersion: v1
    kind: Endpoints
    metadata: {name: web}
    subsets:
      - addresses:
          - ip: 10.0.0.1
          - ip: 0.0.0.0
        ports:
          - port: 80
          - port: 65536
    """


@pytest.mark.parametrize("text", [SLICE, ENDPOINTS])
def test_endpoints_that_nobody_can_dial(text: str) -> None:
    found = said(text)
    assert [(s.rule, s.severity) for s in found] == [
        ("zero-address", "error"),
        ("port-out-of-range", "error"),
    ]
    assert ["0.0.0.0" in found[0].quoted, "65536" in found[1].quoted] == [True, True]
    assert said(text.replace("0.0.0.0", "10.0.0.2").replace("65536", "81")) == []
