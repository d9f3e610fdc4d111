"""Variables and arguments as images and charts have them, and what is read out of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.listening import listens_there, of_arguments, of_name, of_variable, written


def variable(text: str) -> list[int]:
    """Of `KEY=value`, with those that stand beside it before it."""
    variables = dict(each.partition("=")[::2] for each in text.split("  "))
    key, value = list(variables.items())[-1]
    return of_variable(key, value, variables)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("PORT=8080", [8080]),
        ("LISTEN_ADDR=0.0.0.0:8080", [8080]),
        ("LISTEN=:8080", [8080]),
        ("LISTEN_ADDRESS=[::]:8080", [8080]),
        ("BIND_ADDR=$(POD_IP):8301", [8301]),
        ("BIND=10.0.0.7:8080", [8080]),
        ("KUBE_RBAC_PROXY_LISTEN_ADDRESS=[$(IP)]:9254", [9254]),
        ("SERVER_PORT=8080", [8080]),  # Spring Boot
        ("MANAGEMENT_SERVER_PORT=8081", [8081]),
        ("QUARKUS_HTTP_PORT=8080", [8080]),
        ("KC_HTTP_PORT=8080", [8080]),  # Keycloak
        ("GF_SERVER_HTTP_PORT=3000", [3000]),  # Grafana
        ("UVICORN_PORT=8000", [8000]),
        ("FLASK_RUN_PORT=5000", [5000]),
        ("APP_HOST=0.0.0.0  APP_PORT=3000", [3000]),
        ("NGINX_HTTP_PORT_NUMBER=8080", [8080]),  # Bitnami
        ("REGISTRY_HTTP_ADDR=0.0.0.0:5000", [5000]),  # registry
        ("REGISTRY_HTTP_ADDR=:5000", [5000]),
        ("OAUTH2_PROXY_HTTP_ADDRESS=0.0.0.0:4180", [4180]),
        ("SERVER_ADDR=:8080", [8080]),
        ("ADDR=:8080", [8080]),
        ("ATHENS_ADDR=:3000", [3000]),
        ("ASPNETCORE_URLS=http://+:8080;http://*:5000", [8080, 5000]),
        ("ASPNETCORE_HTTP_PORTS=8080;8081", [8080, 8081]),
        ("ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379,http://127.0.0.1:4001", [2379, 4001]),
        ("KAFKA_CFG_LISTENERS=CLIENT://:9092,SASL_SSL://:9093", [9092, 9093]),
        ("SERVE_PUBLIC_PORT=4444", [4444]),  # Ory Hydra
        ("ETCD_LISTEN_PEER_URLS=http://0.0.0.0:2380", [2380]),
    ],
)
def test_variables_that_say_where_their_container_listens(text: str, ports: list[int]) -> None:
    assert variable(text) == ports


@pytest.mark.parametrize(
    "text",
    [
        "DB_PORT=5432",
        "db_port=3306",
        "POSTGRES_PORT=5432",
        "REDIS_PORT=6379",
        "REDIS_SERVICE_PORT=6379",
        "SPRING_DATA_MONGODB_PORT=27017",
        "WORDPRESS_DATABASE_PORT_NUMBER=3306",
        "SMTP_PORT=587",
        "EMAIL_PORT=25",
        "KAFKA_PORT=9092",
        "JAEGER_AGENT_PORT=6831",
        "OTEL_EXPORTER_OTLP_PORT=4317",
        "DD_TRACE_AGENT_PORT=8126",
        "UPSTREAM_PORT=8080",
        "BACKEND_PORT=8080",
        "TARGET_PORT=8080",
        "CHECKOUT_SERVICE_PORT=5050",
        "CHECKOUT_SERVICE_PORT_HTTP=5050",
        "CHECKOUT_PORT=tcp://10.96.0.7:5050",
        "CHECKOUT_PORT_5050_TCP_PORT=5050",
        "KUBERNETES_SERVICE_PORT=443",
        "KUBERNETES_PORT_443_TCP_PORT=443",
        "ORDERS_HOST=orders.shop.svc  ORDERS_PORT=8080",
        "API_URL=https://api.example.com/v1  API_PORT=8443",
        "PRODUCT_CATALOG_SERVICE_ADDR=productcatalogservice:3550",
        "CART_SERVICE_ADDR=0:80",
        "BACKEND_ADDR=0:80",
        "REDIS_ADDR=:6379",
        "ORDERS_ADDR=0.0.0.0:80",
        "VAULT_ADDR=http://127.0.0.1:8200",
        "AUTH_ADDR=localhost:8081",
        "LISTEN_ADDR=redis:6379",
        "KAFKA_CFG_ADVERTISED_LISTENERS=CLIENT://kafka-0:9092,EXTERNAL://:9094",
        "ETCD_ADVERTISE_CLIENT_URLS=http://0.0.0.0:2379",
        "LISTEN_BACKLOG=128",
        "BIND_RETRIES=3",
        "LISTEN=yes",
        "LISTEN=10:30",
        "HTTP_ADDR=8080",
        "PORT=",
        "PORT=http",
        "PORT=8080:80",
        "REPORT=8080",
        "GREETING=8080",
        "__=8080",
        "NUMBER=8080",
    ],
)
def test_variables_that_say_something_else(text: str) -> None:
    assert variable(text) == []


def arguments(line: str) -> list[int]:
    """Of a command line, in which `|` stands for a blank that is inside of an argument."""
    args = tuple(arg.replace("|", " ") for arg in line.split())
    return list(dict.fromkeys(port for port, _ in of_arguments(args)))


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ("--port=8080", [8080]),
        ("-listen :8080", [8080]),
        ("server --port 8080 --verbose", [8080]),
        ("--http.listen-addr 0.0.0.0:8080", [8080]),
        ("--web.listen-address=:9090 --storage.tsdb.path=/data", [9090]),  # Prometheus
        ("-httpListenAddr=:8428 -retentionPeriod=12", [8428]),  # VictoriaMetrics
        ("-server.http-listen-port=3100", [3100]),  # Loki
        ("--secure-listen-address=0.0.0.0:8443 --upstream=http://127.0.0.1:8080/", [8443]),
        ("--metrics-bind-address=:8080 --health-probe-bind-address=:8081", [8080, 8081]),
        ("--secure-port=10250 --kubelet-use-node-status-port", [10250]),  # metrics-server
        ("--httpPort=8080", [8080]),  # Jenkins
        ("--entrypoints.web.address=:8000/tcp --ping", [8000]),  # Traefik
        ("--http-address=0.0.0.0:4180 --upstream=http://app:80", [4180]),  # oauth2-proxy
        ("java -Dserver.port=8080 -jar app.jar", [8080]),
        ("java -jar app.jar --server.port=9000", [9000]),
        ("uvicorn app:app --host 0.0.0.0 --port 80", [80]),
        ("gunicorn -b 0.0.0.0:8000 -w 4 app.wsgi", [8000]),
        ("python manage.py runserver 0.0.0.0:8000", [8000]),
        ("php -S 0.0.0.0:8000 -t public", [8000]),
        ("rails server -b 0.0.0.0 -p 3000", [3000]),
        ("memcached -m 64 -p 11211", [11211]),
        ("-http :6060", [6060]),
        ("dotnet app.dll --urls http://0.0.0.0:8080", [8080]),
        (
            "etcd --listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls=http://e:2379",
            [2379],
        ),
        ("sh -c exec|gunicorn|--bind='0.0.0.0:8000'|app", [8000]),
        ("sh -c until|pg_isready|-h|db|-p|5432;|do|sleep|1;|done;|./app|--port|8080", [8080]),
    ],
)
def test_arguments_that_say_where_their_program_listens(line: str, ports: list[int]) -> None:
    assert arguments(line) == ports


@pytest.mark.parametrize(
    "line",
    [
        "--port",
        "--port --verbose",
        "--portal=8080",
        "serve 8080",
        "--db-port=5432",
        "--redis-port 6379",
        "--upstream=0.0.0.0:80",
        "--backend 0.0.0.0:80",
        "--redis-addr=redis:6379",
        "--addr=backend:80",
        "--remote-write-address=:9201",
        "psql -h db -p 5432",
        "redis-cli --host redis --port 6379",
        "nc -z db 5432",
        "mkdir -p /data",
        "--http",
        "--https=true",
        "--help -h --port 1x",
        "--advertise-address=0.0.0.0:6443",
        "-- -",
    ],
)
def test_arguments_that_say_something_else(line: str) -> None:
    assert arguments(line) == []


def test_what_is_said_is_quoted_as_it_is_written() -> None:
    args = ("-listen", ":8080", "--port=80", "0.0.0.0:81")

    assert list(of_arguments(args)) == [
        (8080, "-listen :8080"),
        (80, "--port=80"),
        (81, "0.0.0.0:81"),
    ]


def test_what_is_too_long_to_be_an_address_is_not_looked_at() -> None:
    assert of_name("LISTEN", "0:1," * 4000) != []
    assert of_name("LISTEN", "0:1," * 5000) == []


def test_of_a_value_only_the_address_is_quoted() -> None:
    args = ("--listen=tcp://:80/hunter2,hunter2", "http://0.0.0.0:81/?k=hunter2", "-p 82;hunter2")

    assert list(of_arguments(args)) == [
        (80, "--listen=tcp://:80"),
        (81, "http://0.0.0.0:81"),
        (82, "-p 82"),
    ]
    assert written("hunter2, http://0.0.0.0:82/?k=hunter2", 82) == "http://0.0.0.0:82"


def test_a_url_may_be_where_we_listen_by_its_flag() -> None:
    args = ("http://0.0.0.0:1", "--listen-urls=http://0.0.0.0:2", "--urls", "http://0.0.0.0:3")

    assert [listens_there(args, i) for i in range(4)] == [False, True, False, True]


@given(st.text(), st.text(), st.lists(st.text()))
def test_whatever_is_written_is_read(name: str, value: str, args: list[str]) -> None:
    of_name(name, value)
    list(of_arguments((name, value, *args)))
