import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.ports import CANDIDATES_MAX, Container, Declared, declared, invalid_destinations


def of(**kwargs: object) -> list[int]:
    return [d.port for d in declared([Container("app", **kwargs)])]  # type: ignore[arg-type]


def test_arguments_and_the_environment_declare_ports_beside_container_ports() -> None:
    found = of(env=(("PORT", "8080"),), args=("--port=8081",), ports=(("http", 8082),))

    assert found == [8080, 8081, 8082]


def test_numbers_that_are_no_ports_are_left_out() -> None:
    assert of(env=(("PORT", "99999"), ("HTTP_PORT", "0")), probe_ports=(0,)) == []


def test_18_a_probe_by_name_finds_the_port_of_that_name() -> None:
    assert of(ports=(("web", 8080),), probe_ports=("web",)) == [8080]
    assert of(probe_ports=(8081,)) == [8081]
    assert of(probe_ports=("web",)) == []


def test_20_a_native_sidecars_ports_are_declared_and_auxiliary() -> None:
    side = Container("proxy", ports=(("http", 15001),), sidecar=True)

    assert (Declared(15001, "containerPort http", True, "proxy"),) == declared([side])


@pytest.mark.parametrize("name", ["metrics", "http-metrics", "healthz", "admin", "pprof"])
def test_ports_named_for_metrics_or_probes_are_auxiliary(name: str) -> None:
    assert [d.auxiliary for d in declared([Container("app", ports=((name, 9090),))])] == [True]
    assert [d.auxiliary for d in declared([Container("istio-proxy", ports=(("a", 1),))])] == [True]


def test_containers_that_stand_beside_the_application_declare_auxiliary_ports() -> None:
    app, beside = Container("app", ports=(("http", 8080),)), Container("metrics", ports=(("a", 1),))

    assert [(d.port, d.auxiliary) for d in declared([app, beside])] == [(8080, False), (1, True)]


def test_an_exporter_by_itself_is_the_application() -> None:
    exporter = Container("node-exporter", ports=(("web", 9100),))

    assert [d.auxiliary for d in declared([exporter])] == [False]


def test_a_port_that_only_a_probe_names_is_auxiliary_beside_others() -> None:
    app = Container("app", ports=(("http", 8080),), probe_ports=(8080, 8081))
    only = Container("app", ports=(("metrics", 9090),), probe_ports=(8081,))

    assert [(d.port, d.auxiliary) for d in declared([app])] == [(8080, False), (8081, True)]
    assert [(d.port, d.auxiliary) for d in declared([only])] == [(8081, False), (9090, True)]


def test_a_port_declared_twice_counts_by_its_most_telling_source() -> None:
    app = Container("app", env=(("METRICS_PORT", "8080"), ("PORT", "8080")), ports=(("a", 8080),))

    assert (Declared(8080, "env PORT=8080", False, "app"),) == declared([app])


def test_no_more_candidates_than_may_be_and_the_auxiliary_last() -> None:
    many = tuple((f"p{i}", 8000 + i) for i in range(20))

    assert len(of(ports=many)) == CANDIDATES_MAX
    assert of(ports=(("metrics", 9090), *many))[0] == 8000


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("BACKEND_URL", "http://0:80/x", "unspecified"),
        ("BACKEND_ADDR", "0:80", "unspecified"),
        ("UPSTREAM", "0.0.0.0:80", "unspecified"),
        ("DB_HOST", "10.0.0.1:0", "port 0 is out of range"),
        ("TARGET", "http://:80", "host is empty"),
        ("WHATEVER", "http://[::]:80", "unspecified"),
    ],
)
def test_a_configured_destination_that_nobody_may_dial(key: str, value: str, said: str) -> None:
    (found,) = invalid_destinations([Container("app", env=((key, value),))])

    assert (found.source, found.container, found.variable) == ("env", "app", key)
    assert found.sentence.startswith(f"container app: env {key}={value.removesuffix('/x')}")
    assert said in found.sentence


ADDRESSES = [
    ("postgres://app:hunter2@0:5432/db", "postgres://...@0:5432...: 0 is"),
    ("redis://:hunter2@[::]:6379", "redis://...@[::]:6379: :: is"),
    ("app:hunter2@0:5432", "...@0:5432: 0 is"),
    ("postgres://app:hunt@er2@0:5432", "postgres://...@0:5432: 0 is"),
    ("amqp://app:hunter2@queue:99999?heartbeat=1", "amqp://...@queue:99999...: port 99999 is"),
    ("http://0:80/services/hunter2?token=hunter2", "http://0:80...: 0 is"),
    ("http://0:80?token=hunter2", "http://0:80...: 0 is"),
    ("http://0:80 hunter2", "http://0:80...: 0 is"),
    ("mongodb://app:hunter2@0:27017,b:27017/db", "mongodb://...@0:27017...: 0 is"),
]


@pytest.mark.parametrize(("value", "said"), ADDRESSES)
def test_of_a_configured_destination_only_the_address_is_told(value: str, said: str) -> None:
    app = Container("app", env=(("DB_URL", value),), args=(f"--db={value}", value))

    told = [found.sentence for found in invalid_destinations([app])]

    assert told[0].startswith(f"container app: env DB_URL={said} ")
    if "://" in value:
        assert told[1].startswith(f"container app: argument --db={said} ")
        assert told[2].startswith(f"container app: argument {said} ")
    assert "hunt" not in "".join(told)


@pytest.mark.parametrize(
    "value",
    [
        "postgres://app:0/hunter2@db:5432/db",  # a password may hold a slash,
        "postgres://app:99999hunter2",  # or begin with digits
        "postgres://app:99999-hunter2",
        "http://h:" + 5000 * "1",
        f"http://{300 * 'h'}:0",
        "http://",
    ],
)
def test_what_may_be_no_address_is_not_told(value: str) -> None:
    app = Container("app", env=(("DB_URL", value),), args=(f"sh -c DB={value}", f"DB={value}"))

    assert invalid_destinations([app]) == ()


def test_of_a_variable_that_declares_a_port_only_the_address_is_kept() -> None:
    app = Container("app", env=(("LISTEN", "hunter2;tcp://0.0.0.0:80/hunter2"),))

    (found,) = declared([app])

    assert (found.port, found.source) == (80, "env LISTEN=tcp://0.0.0.0:80")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LISTEN_ADDR", "0.0.0.0:8080"),
        ("ADDR", ":8080"),
        ("SERVER_ADDR", ":8080"),
        ("MINIO_ADDRESS", ":9000"),
        ("BACKEND_URL", "http://backend:80"),
        ("BACKEND_URL", "http://127.0.0.1:80"),
        ("BACKEND_URL", "http://backend"),
        ("NOTE", "0:80"),
    ],
)
def test_a_listen_address_a_name_or_a_neighbour_is_fine(key: str, value: str) -> None:
    assert invalid_destinations([Container("app", env=((key, value),))]) == ()


def test_a_destination_among_the_arguments_is_found_too() -> None:
    app = Container(
        "app", args=("--upstream=http://0:80", "http://0.0.0.0:81", "--addr=0:80", "http://b:1")
    )

    found = invalid_destinations([app])
    assert [(i.source, i.container, i.variable) for i in found] == [("args", "app", "")] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("REGISTRY_HTTP_ADDR", "0.0.0.0:5000"),
        ("ASPNETCORE_URLS", "http://0.0.0.0:8080"),
        ("ETCD_LISTEN_PEER_URLS", "http://0.0.0.0:2380"),
        ("OAUTH2_PROXY_HTTP_ADDRESS", "0.0.0.0:4180"),
    ],
)
def test_listeners_that_charts_have_under_names_of_addresses_are_no_destinations(
    key: str, value: str
) -> None:
    flag = f"--listen-client-urls={value}"

    assert invalid_destinations([Container("app", env=((key, value),), args=(flag,))]) == ()


# Pods as charts make them: every declared port, and whether it is auxiliary.

REDIS = [
    Container(
        "redis",
        ports=(("redis", 6379),),
        env=(("REDIS_PORT", "6379"), ("REDIS_MASTER_PORT_NUMBER", "6379")),
        args=("-c", "/opt/bitnami/scripts/start-scripts/start-master.sh"),
    ),
    Container("metrics", ports=(("metrics", 9121),), env=(("REDIS_ALIAS", "redis"),)),
]
CONTROLLER = [
    Container(
        "kube-rbac-proxy",
        ports=(("https", 8443),),
        args=("--secure-listen-address=0.0.0.0:8443", "--upstream=http://127.0.0.1:8080/"),
    ),
    Container(
        "manager",
        args=("--health-probe-bind-address=:8081", "--metrics-bind-address=127.0.0.1:8080"),
        probe_ports=(8081,),
    ),
]
SPRING = [
    Container(
        "shop",
        ports=(("http", 8080), ("management", 8081)),
        env=(("SERVER_PORT", "8080"), ("DB_HOST", "postgres"), ("DB_PORT", "5432")),
        probe_ports=("management",),
    )
]
CLOUD_SQL = [
    Container("app", env=(("PORT", "8080"), ("DB_HOST", "127.0.0.1"), ("DB_PORT", "5432"))),
    Container("cloud-sql-proxy", args=("--port=5432", "--private-ip"), sidecar=True),
]
INCIDENT = [Container("backend", env=(("LISTEN_ADDR", "0.0.0.0:8080"),), probe_ports=(8080,))]


@pytest.mark.parametrize(
    ("pod", "ports"),
    [
        (REDIS, {6379: False, 9121: True}),
        (CONTROLLER, {8443: False, 8080: True, 8081: True}),
        (SPRING, {8080: False, 8081: True}),
        (CLOUD_SQL, {8080: False, 5432: True}),
        (INCIDENT, {8080: False}),
    ],
)
def test_pods_as_charts_make_them(pod: list[Container], ports: dict[int, bool]) -> None:
    assert {d.port: d.auxiliary for d in declared(pod)} == ports


@given(st.text(), st.text())
def test_arbitrary_environments_are_read_without_an_exception(key: str, value: str) -> None:
    app = Container("app", env=((key, value), ("PORT", value), ("URL", value)), args=(value, value))

    assert all(0 < d.port <= 65535 for d in declared([app]))
    invalid_destinations([app])
