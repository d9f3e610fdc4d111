import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe.core.edges import Scope
from probe.core.kube import OPT_OUT
from probe.settings import Settings, SettingsError, load, misspelt, parse_listen


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine that runs the tests happens to set is not under test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PROBE_{name.upper()}", raising=False)
    monkeypatch.delenv("PROBE_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "probe.yaml"


def refusal(flags: dict[str, Any] | None = None, config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load(flags or {}, str(config) if config else None)
    return str(refused.value)


def test_the_defaults_are_those_that_scripts_and_the_readme_rely_on() -> None:
    found = load({})

    assert (found.listen, found.interval, found.timeout) == (":9797", 10.0, 4.0)
    assert found.namespaces == ()
    assert found.node


def test_flags_beat_the_environment_which_beats_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("interval: 1\ntimeout: 1\nsettle: 1\n")
    monkeypatch.setenv("PROBE_INTERVAL", "2")
    monkeypatch.setenv("PROBE_TIMEOUT", "2")
    found = load({"interval": 3}, str(config))

    assert (found.interval, found.timeout, found.settle) == (3.0, 2.0, 1.0)


def test_the_file_may_be_named_by_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("node-name: from-file\n")
    monkeypatch.setenv("PROBE_CONFIG", str(config))

    assert load({}).node == "from-file"


def test_an_empty_file_says_nothing(config: Path) -> None:
    config.write_text("# nothing\n")

    assert load({}, str(config)) == load({})


def test_lists_are_separated_by_commas_and_are_lists_in_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("namespaces: [a, b]\nallow_targets: 127.0.0.0/8\n")
    monkeypatch.setenv("PROBE_DENY_NAMESPACES", " c , d,, ")
    found = load({"manual_targets": "192.0.2.0/24,fd00::/8"}, str(config))

    assert (found.namespaces, found.deny_namespaces) == (("a", "b"), ("c", "d"))
    assert found.manual_targets == ("192.0.2.0/24", "fd00::/8")
    assert found.world().scope.allow_targets == (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"interval": "nan"}, "--interval: "),
        ({"interval": "inf"}, "--interval: "),
        ({"interval": "0"}, "--interval: must be at least 0.1 (given: '0')"),
        ({"interval": "3601"}, "--interval: must be at most 3600 (given: '3601')"),
        ({"interval": "soon"}, "--interval: must be a number (given: 'soon')"),
        ({"interval": True}, "--interval: must be a number (given: True)"),
        ({"timeout": "-1"}, "--timeout: "),
        ({"settle": "nan"}, "--settle: "),
        ({"max_dials_per_second": "inf"}, "--max-dials-per-second: "),
        ({"max_in_flight": 0}, "--max-in-flight: must be at least 1 (given: 0)"),
        ({"max_in_flight": "1.5"}, "--max-in-flight: must be a whole number"),
        ({"max_in_flight": True}, "--max-in-flight: must be a number"),
        ({"dial_mysql": "perhaps"}, "--dial-mysql: must be true or false (given: 'perhaps')"),
        ({"node_name": 7}, "--node-name: must be text: put it in quotes (given: 7)"),
        ({"node_name": "a\nb"}, "--node-name: must be one line of text"),
        ({"node_name": "a\udcffb"}, "--node-name: must be one line of text"),
        ({"node_name": " \n"}, "--node-name: must not be blank"),
        ({"node_name": "a" * 254}, "--node-name: must be at most 253 bytes"),
        ({"namespaces": {"a": "b"}}, "--namespaces: must be a list (given: {'a': 'b'})"),
        ({"namespaces": 7}, "--namespaces: must be a list (given: 7)"),
        ({"namespaces": "a,A_B"}, "--namespaces: 'A_B' can be no namespace: lower-case letters"),
        ({"namespaces": "-a"}, "--namespaces: '-a' can be no namespace"),
        ({"deny_namespaces": "a" * 64}, f"--deny-namespaces: '{'a' * 64}' can be no namespace"),
        ({"deny_namespaces": "a/b"}, "--deny-namespaces: 'a/b' can be no namespace"),
        ({"listen": "9797"}, "--listen: '9797' is not HOST:PORT"),
        ({"listen": ":x"}, "--listen: ':x' is not HOST:PORT"),
        ({"listen": "0.0.0.0:65536"}, "--listen: "),
        ({"listen": "0.0.0.0:²"}, "--listen: '0.0.0.0:²' is not HOST:PORT"),
        ({"allow_targets": "10.0.0.1/8"}, "--allow-targets: 10.0.0.1/8 has host bits set"),
        ({"manual_targets": "here"}, "--manual-targets: "),
        ({"peers": "edgeprobe"}, "--peers: write it as NAMESPACE/NAME"),
        ({"peers": "a/b/c"}, "--peers: write it as NAMESPACE/NAME"),
        ({"peers": "Foo/bar baz"}, "--peers: write it as NAMESPACE/NAME"),
        ({"peers": "$(POD_NAMESPACE)/edgeprobe"}, "--peers: write it as NAMESPACE/NAME"),
        ({"close": "softly"}, "--close: must be 'auto', 'fin' or 'rst' (given: 'softly')"),
        ({"vantage": "moon"}, "--vantage: must be 'pod', 'host' or 'local' (given: 'moon')"),
        ({"namespaces": "a,b", "deny_namespaces": "b"}, "settings: namespaces and deny_namespaces"),
        ({"bogus": 1}, "--bogus: there is no such setting"),
    ],
)
def test_a_wrong_flag_is_one_sentence_that_names_it(flags: dict[str, Any], said: str) -> None:
    found = refusal(flags)

    assert found.startswith(said)
    assert "\n" not in found


def test_a_wrong_setting_is_named_as_it_was_written(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("interval: nan\n")
    assert refusal(config=config).startswith(f"interval in {config}: ")

    monkeypatch.setenv("PROBE_INTERVAL", "nan")
    assert refusal(config=config).startswith("PROBE_INTERVAL: ")
    assert refusal({"interval": "nan"}, config).startswith("--interval: ")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PROBE_INTERVALL", "PROBE_INTERVAL"),
        ("PROBE_NAMESPACE", "PROBE_NAMESPACES"),
        ("PROBE_MAXSERIES", "PROBE_MAX_SERIES"),
        ("PROBE_APIKEY", "PROBE_API_KEY"),
        ("PROBE_LISTEN_ADDRESS", "PROBE_LISTEN"),
        ("PROBE_CONF", "PROBE_CONFIG"),
        ("probe_intervall", "PROBE_INTERVAL"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_one_that_is_nearest(
    variable: str, meant: str
) -> None:
    environ = {"PROBE_INTERVAL": "1", "probe_timeout": "1", "PATH": "/bin", variable: "1"}

    assert misspelt(environ) == [(variable, meant)]


@pytest.mark.parametrize("service", ["PROBE", "PROBE_INTERVAL", "PROBE_NAMESPACES_WEB"])
def test_what_a_kubelet_sets_for_a_service_is_no_misspelling(service: str) -> None:
    ports = ("80_TCP", "53_UDP", "132_SCTP")
    links = {f"{service}_SERVICE_HOST", f"{service}_SERVICE_PORT", f"{service}_SERVICE_PORT_HTTP"}
    links |= {f"{service}_PORT", *(f"{service}_PORT_{port}" for port in ports)}
    links |= {f"{service}_PORT_80_TCP_{part}" for part in ("PROTO", "PORT", "ADDR")}

    assert misspelt(dict.fromkeys(links, "tcp://10.96.0.7:80")) == []


def test_a_variable_like_none_of_ours_is_somebody_elses() -> None:
    assert misspelt({"PROBE_TESTS_NO_SKIP": "1", "PROBE_URL": "http://shop", "PROBE_": ""}) == []


def test_the_wrong_value_is_shown() -> None:
    assert refusal({"interval": "soon"}).endswith("(given: 'soon')")


@pytest.mark.parametrize(
    "name", ["interval", "timeout", "settle", "linger", "max_in_flight", "max_series"]
)
@pytest.mark.parametrize("text", ["true", "no", "on"])
def test_what_yaml_reads_as_true_or_false_is_no_number(name: str, text: str, config: Path) -> None:
    config.write_text(f"{name}: {text}\n")

    assert refusal(config=config).startswith(f"{name} in {config}: must be a number (given: ")


def test_a_namespace_that_cannot_be_is_named_with_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROBE_NAMESPACES", "web,Shop")

    assert refusal().startswith("PROBE_NAMESPACES: 'Shop' can be no namespace: ")


def test_namespaces_of_every_allowed_form_are_taken() -> None:
    names = ("a", "0", "a-b", "kube-system", "a" * 63)

    assert load({"namespaces": ",".join(names)}).namespaces == names


def test_a_wrong_key_is_not_shown(config: Path) -> None:
    config.write_text("api_key: 12345\n")

    found = refusal(config=config)

    assert found == f"api_key in {config}: must be text: put it in quotes"


def test_an_unknown_key_in_the_file_is_refused(config: Path) -> None:
    config.write_text("intervall: 5\n")

    assert refusal(config=config) == f"intervall in {config}: there is no such setting"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[a, b]", "must hold a mapping of settings to values"),
        (b"a: [", "is not YAML: see line 1"),
        (b'interval: 1\napi_key: "hunter2', "is not YAML: see line 2"),
        (b"\xff\xfe\x00", "is not YAML: it holds what is no text"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(config: Path, text: bytes, said: str) -> None:
    config.write_bytes(text)
    found = refusal(config=config)

    assert found.startswith(f"--config {config}: {said}")
    assert "\n" not in found
    assert "hunter2" not in found


def test_a_file_that_cannot_be_read_is_refused(config: Path) -> None:
    assert refusal(config=config) == f"--config {config}: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.0.0.0:9797", ("0.0.0.0", 9797)),
        ("[::]:80", ("::", 80)),
        ("host:0", ("host", 0)),
        (":9797", ("", 9797)),
    ],
)
def test_where_to_listen(text: str, found: tuple[str, int]) -> None:
    assert parse_listen(text) == found


def test_the_world_is_told_what_was_set() -> None:
    found = load(
        {
            "node_name": "node-a",
            "interval": 5,
            "timeout": 3,
            "settle": 7,
            "linger": 8,
            "max_dials_per_second": 100,
            "namespaces": "a",
            "deny_namespaces": "b",
            "dial_mysql": True,
            "peers": "x/y",
        }
    ).world((ip_network("127.0.0.0/8"),), once=True)

    assert (found.node, found.interval, found.timeout) == ("node-a", 5.0, 3.0)
    assert (found.settle, found.linger, found.dials_per_second) == (7.0, 8.0, 100.0)
    assert found.scope == Scope(
        namespaces=frozenset({"a"}),
        denied_namespaces=frozenset({"b"}),
        allow_targets=(ip_network("127.0.0.0/8"),),
        dial_blocking_ports=True,
    )
    assert (found.peers, found.once) == (("x", "y"), True)


@pytest.mark.parametrize(
    ("flags", "posts"),
    [
        ({}, True),
        ({"vantage": "host"}, True),
        ({"vantage": "local"}, False),
        ({"vantage": "local", "events": "true"}, True),
        ({"events": "false"}, False),
    ],
)
def test_events_are_posted_from_inside_the_cluster_or_as_said(
    flags: dict[str, Any], posts: bool
) -> None:
    assert load(flags).posts_events is posts


def test_without_peers_a_daemon_is_alone() -> None:
    assert load({"peers": ""}).world().peers is None


def test_every_setting_is_described_in_one_line() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert re.fullmatch(r"[^\n]*\.", field.description), name


def test_nobody_is_promised_a_verdict_within_the_interval() -> None:
    description = Settings.model_fields["interval"].description or ""

    assert "one on a black hole up to a minute" in description


def test_the_daemon_s_own_service_is_not_dialed_as_it_is_deployed() -> None:
    path = Path(__file__).parent.parent / "deploy" / "probe.yaml"
    deployed = list(yaml.safe_load_all(path.read_text()))
    (own,) = (document for document in deployed if document["kind"] == "Service")

    assert own["metadata"]["annotations"] == {OPT_OUT: "false"}
    assert f"{own['metadata']['namespace']}/{own['metadata']['name']}" == load({}).peers


def test_a_key_loses_the_blanks_that_no_header_keeps() -> None:
    assert load({"api_key": " secret\n"}).api_key == "secret"
    assert load({"api_key": ""}).api_key == ""


@pytest.mark.parametrize(
    "key", ["sec\nret", "sec\x00ret", "sec\udcffret", "\n", "sec" * 400, "\xe9" * 513]
)
def test_a_key_that_no_header_holds_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="--api-key: must ") as refused:
        load({"api_key": key})

    assert "sec" not in str(refused.value)
    assert "\xe9" not in str(refused.value)


def test_a_node_s_name_loses_the_line_s_end_that_a_file_gives_it() -> None:
    assert load({"node_name": "node-a\n"}).node == "node-a"
