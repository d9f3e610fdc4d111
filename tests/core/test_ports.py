import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.ports import CANDIDATES_MAX, Container, Declared, declared, invalid_destinations


def of(**kwargs: object) -> list[int]:
    return [d.port for d in declared([Container("app", **kwargs)])]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value", "ports"),
    [
        ("LISTEN_ADDR", "0.0.0.0:8080", [8080]),
        ("PORT", "8080", [8080]),
        ("HTTP_PORT", ":8080", [8080]),
        ("BIND", "[::]:8080", [8080]),
        ("LISTEN", "127.0.0.1:8080, 127.0.0.1:9090", [8080, 9090]),
        ("PORT", "http", []),
        ("PORT", "99999", []),
        ("PORT", "0", []),
        ("GREETING", "8080", []),
        ("IMPORTANT", "8080", []),
    ],
)
def test_environment_values_that_read_like_listen_addresses(
    key: str, value: str, ports: list[int]
) -> None:
    assert ports == of(env=((key, value),))


@pytest.mark.parametrize(
    ("args", "ports"),
    [
        (("--port=8080",), [8080]),
        (("-listen", ":8080"), [8080]),
        (("--http.listen-addr", "0.0.0.0:8080"), [8080]),
        (("--port",), []),
        (("--portal=8080",), []),
        (("serve", "8080"), []),
    ],
)
def test_arguments_that_read_like_listen_addresses(args: tuple[str, ...], ports: list[int]) -> None:
    assert ports == of(args=args)


def test_18_a_probe_by_name_finds_the_port_of_that_name() -> None:
    assert of(ports=(("web", 8080),), probe_ports=("web",)) == [8080]
    assert of(probe_ports=(8081,)) == [8081]
    assert of(probe_ports=("web",)) == []


def test_20_a_native_sidecars_ports_are_declared_and_auxiliary() -> None:
    side = Container("proxy", ports=(("http", 15001),), sidecar=True)

    assert (Declared(15001, "containerPort http", True),) == declared([side])


@pytest.mark.parametrize("name", ["metrics", "http-metrics", "healthz", "admin", "pprof"])
def test_ports_named_for_metrics_or_probes_are_auxiliary(name: str) -> None:
    assert [d.auxiliary for d in declared([Container("app", ports=((name, 9090),))])] == [True]
    assert [d.auxiliary for d in declared([Container("istio-proxy", ports=(("a", 1),))])] == [True]


def test_a_port_declared_twice_counts_by_its_most_telling_source() -> None:
    app = Container("app", env=(("METRICS_PORT", "8080"), ("PORT", "8080")), ports=(("a", 8080),))

    assert (Declared(8080, "env PORT=8080", False),) == declared([app])


def test_no_more_candidates_than_the_design_allows() -> None:
    many = tuple((f"p{i}", 8000 + i) for i in range(20))

    assert len(of(ports=many)) == CANDIDATES_MAX


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
    ((source, sentence),) = invalid_destinations([Container("app", env=((key, value),))])

    assert source == "env"
    assert sentence.startswith(f"container app: env {key}={value}: ")
    assert said in sentence


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LISTEN_ADDR", "0.0.0.0:8080"),
        ("ADDR", ":8080"),
        ("SERVER_ADDR", ":8080"),
        ("BACKEND_URL", "http://backend:80"),
        ("BACKEND_URL", "http://127.0.0.1:80"),
        ("BACKEND_URL", "http://backend"),
        ("NOTE", "0:80"),
    ],
)
def test_a_listen_address_a_name_or_a_neighbour_is_fine(key: str, value: str) -> None:
    assert invalid_destinations([Container("app", env=((key, value),))]) == ()


def test_a_destination_among_the_arguments_is_found_too() -> None:
    app = Container("app", args=("--upstream=http://0:80", "http://0.0.0.0:81", "--addr=0:80"))

    assert [source for source, _ in invalid_destinations([app])] == ["args", "args"]


@given(st.text(), st.text())
def test_arbitrary_environments_are_read_without_an_exception(key: str, value: str) -> None:
    app = Container("app", env=((key, value), ("PORT", value), ("URL", value)), args=(value, value))

    assert all(0 < d.port <= 65535 for d in declared([app]))
    invalid_destinations([app])
