"""`probe check svc` and `probe check all`, as a person types them."""

import asyncio
import json
import re
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from probe.cli.commands import app
from tests.desk import full
from tests.hostile import write_kubeconfig
from tests.running import KUBECTL, kubectl, probe, quiet, running, shell, unread, until

pytestmark = pytest.mark.slow

HERE = ("-n", "demo-app")


async def test_the_held_mismatch_is_found_and_named(held: Path) -> None:
    found = await probe(
        "check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held), "-o", "json"
    )

    assert (found.code, found.err) == (1, "")
    (port,) = found.document["ports"]
    assert (found.document["verdict"], port["target_port"]) == ("port_mismatch", 8081)
    assert {(e["port"], e["result"]) for e in port["edges"] if e["kind"] == "candidate"} == {
        (8080, "connected")
    }
    assert "set targetPort to 8080: kubectl patch service backend-v1" in found.document["advice"][0]
    assert [(c["kind"], c["by"]) for c in found.document["changes"]] == [
        ("service_edit", "argocd-controller")
    ]


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_the_advice_is_a_command_that_mends_it(held_alone: Path) -> None:
    arguments = ("check", "svc/backend-v1", *HERE, "--kubeconfig", str(held_alone), "-o", "json")
    advice = (await probe(*arguments)).document["advice"][0]
    line = advice.partition("kubectl ")[2]
    words, _, patch = line.partition(" -p ")

    await kubectl(held_alone, *words.split(), "-p", patch.strip("'"))

    found = await probe(*arguments)
    assert (found.code, found.document["verdict"], found.document["advice"]) == (0, "healthy", [])


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_what_nobody_may_dial_stops_no_pipeline_and_is_not_called_healthy(
    held_alone: Path,
) -> None:
    where = (*HERE, "--kubeconfig", str(held_alone))
    patch = '{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}'
    await kubectl(held_alone, "patch", "service", "backend-v1", *HERE, "-p", patch)
    made = ("create", "service", "externalname", "ext", "--external-name", "example.org")
    await kubectl(held_alone, *made, *HERE)

    every = await probe("check", "all", *where)
    one = await probe("check", "svc", "ext", *where)

    assert (every.code, every.err) == (0, "")
    assert (
        "0 of 2 Services fail, 1 does not count (scaled to zero, or not dialed by rule)"
        in every.out
    )
    assert (one.code, one.err) == (3, "")
    assert "! unknown  nothing of it is dialed: external_name" in one.out.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ("svc", "backend-v1"),
        ("svc/backend-v1",),
        ("service", "backend-v1"),
        ("services/backend-v1",),
    ],
)
async def test_a_service_is_named_as_kubectl_takes_it(words: tuple[str, ...], held: Path) -> None:
    found = await probe("check", *words, *HERE, KUBECONFIG=str(held))

    lines = found.out.splitlines()
    assert (found.code, found.err) == (1, "")
    assert re.fullmatch(r"demo-app/backend-v1  ClusterIP 127\.[\d.]+  8080 -> 8081/TCP", lines[0])
    assert lines[1].startswith(
        "✗ port_mismatch  targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts"
    )
    assert "    kubectl patch service backend-v1 -n demo-app -p '" in found.out
    refused = [line for line in lines if line.endswith("refused") or "refused " in line][1:]
    assert len(refused) == 3
    assert len({line.index("✗ refused") for line in refused}) == 1
    assert "declare port 8080" in found.out
    assert re.search(r"changed    \d+ (s|min) ago by argocd-controller: ", found.out)
    assert len(lines) < 25


@pytest.mark.parametrize(
    ("node", "vantage"), [("", "local"), ("node-1", "pod")], ids=["a laptop", "a daemon's pod"]
)
async def test_it_dials_from_where_it_stands_all_that_there_is(
    node: str, vantage: str, held: Path
) -> None:
    arguments = ("check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held), "-o", "json")

    found = (await probe(*arguments, PROBE_NODE_NAME=node)).document

    (source,) = found["sources"]
    assert source["vantage"] == vantage
    assert not node or source["node"] == node
    assert (found["verdict"], found["dialed"], found["expected"]) == ("port_mismatch", 3, 3)


async def test_all_of_all_namespaces_in_one_document(held: Path) -> None:
    found = await probe("check", "all", "-A", "--kubeconfig", str(held), "-o", "json")

    assert found.code == 1
    assert found.document["verdict"] == "port_mismatch"
    assert [s["service"]["name"] for s in found.document["services"]] == ["backend-v1"]


@pytest.mark.parametrize("name", [None, "TYPO"], ids=["the context's", "misspelt"])
async def test_a_namespace_without_services_cannot_be_called_healthy(
    name: str | None, held: Path
) -> None:
    where = ("-n", name) if name else ()
    table = await probe("check", "all", *where, "--kubeconfig", str(held))
    document = await probe("check", "all", *where, "--kubeconfig", str(held), "-o", "json")

    said = f"probe: no Services in namespace {name or 'default'}\n"
    assert (table.code, table.out, table.err) == (3, "", said)
    assert (document.code, document.err) == (3, said)
    assert document.document == {"services": [], "verdict": "unknown"}


async def test_an_unknown_service_is_wrong_usage(held: Path) -> None:
    found = await probe("check", "svc", "nope", "--kubeconfig", str(held))

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith('probe: Service "nope" not found in namespace "default"')


def _led_to(kubeconfig: Path, path: Path, server: str) -> Path:
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = server
    path.write_text(json.dumps(config))
    return path


async def test_an_api_server_that_is_away_cannot_tell(held: Path, tmp_path: Path) -> None:
    gone = _led_to(held, tmp_path / "gone", "http://127.0.0.1:1")

    for form in ("table", "json"):
        found = await probe("check", "all", "-A", "--kubeconfig", str(gone), "-o", form)
        assert (found.code, found.out) == (3, "")
        assert found.err.startswith("probe: the API server at http://127.0.0.1:1 cannot be reached")
        assert len(found.err.splitlines()) == 1


async def test_an_api_server_that_accepts_and_says_nothing_is_given_up_soon(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        path = write_kubeconfig(tmp_path / "mute", url)
        began = time.monotonic()

        found = await probe("check", "all", "--kubeconfig", str(path))

    assert (found.code, found.out) == (3, "")
    assert found.err.startswith(f"probe: the API server at {url} did not ")
    assert found.err.endswith(" within 10 s\n")
    assert found.err.count("\n") == 1
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("", "kubeconfig"),
        (":: {", "is not YAML"),
        ("[1, 2]", "kubeconfig"),
        ("kind: Config", "kubeconfig"),
        ("\x00\x01", "kubeconfig"),
    ],
)
def test_a_kubeconfig_that_is_none_is_one_sentence(
    text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)

    found = CliRunner().invoke(app, ["check", "all", "--kubeconfig", str(path)])

    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("probe: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("svc",), "Missing argument 'NAME'"),
        (("nonsense",), "No such command 'nonsense'"),
        (("all", "-n", "a", "-A"), "-n and -A exclude each other"),
        (("all", "-o", "xml"), "'xml' is not one of 'table', 'wide', 'json', 'junit'"),
        (("all", "-o", "junit", "--watch"), "--watch never ends, and junit is one document"),
        (("all", "--since", "soon"), "--since 'soon': write a duration such as 90s, 30m"),
        (("all", "--since", ""), "--since '': write a duration"),
        (("svc", "x", "-n", ""), "-n is empty: write a namespace"),
        (("all", "-n", ""), "-n is empty: write a namespace"),
        (("svc", "x", "--from", ""), "--from is empty: write nodes, here or a node's name"),
        (("all", "--timeout", "0"), "--timeout: must be at least 0.1"),
        (("all", "--timeout", "50ms"), "--timeout '50ms': write a duration such as 90s"),
        (
            ("all", "--config", "/nonexistent/c.yaml"),
            "--config /nonexistent/c.yaml: cannot be read",
        ),
    ],
)
def test_wrong_usage_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    found = CliRunner().invoke(app, ["check", *arguments])

    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_a_selector_chooses_services_by_their_labels(held_alone: Path) -> None:
    await kubectl(held_alone, "label", "service", "backend-v1", *HERE, "app=backend-v1")

    async def chosen(selector: str) -> tuple[int, str, list[str]]:
        where = (*HERE, "--kubeconfig", str(held_alone), "-o", "json")
        found = await probe("check", "all", "-l", selector, *where)
        return found.code, found.err, [s["service"]["name"] for s in found.document["services"]]

    one, none, among = await asyncio.gather(
        *map(chosen, ("app=backend-v1", "app!=backend-v1", "app in (x,backend-v1)"))
    )

    assert one == among == (1, "", ["backend-v1"])
    said = "probe: no Services with labels app!=backend-v1 in namespace demo-app\n"
    assert none == (3, said, [])


async def test_a_selector_that_cannot_be_read_is_wrong_usage(held: Path) -> None:
    found = await probe("check", "all", "-A", "-l", "a=b=c", "--kubeconfig", str(held))

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("probe: -l 'a=b=c': ")
    assert found.err.count("\n") == 1


async def test_what_can_be_no_service_s_name_is_not_found(held: Path) -> None:
    names = ("a,b", "TYPO", "x" * 64, "a/b")
    where = (*HERE, "--kubeconfig", str(held))
    every = await asyncio.gather(*(probe("check", "svc", name, *where) for name in names))

    for name, found in zip(names, every, strict=True):
        assert (found.code, found.out) == (2, "")
        assert found.err.startswith(f'probe: Service "{name}" not found in namespace "demo-app"')


async def test_junit_is_one_document_with_a_case_for_the_port(held: Path) -> None:
    found = await probe("check", "all", "-A", "--kubeconfig", str(held), "-o", "junit")

    (case,) = ElementTree.fromstring(found.out)
    assert (found.code, found.err) == (1, "")
    assert (case.attrib["classname"], case.attrib["name"]) == ("demo-app.backend-v1", "8080")
    assert [(f.tag, f.attrib["type"]) for f in case] == [("failure", "port_mismatch")]


async def test_the_pods_are_told_beside_the_dials(held: Path) -> None:
    found = await probe(
        "check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held), "-o", "json"
    )

    pods = found.document["pods"]
    assert {pod["node"] for pod in pods} == {"node-1", "node-2"}
    assert all(
        (pod["phase"], pod["ready"], pod["trouble"]) == ("Running", True, None) for pod in pods
    )
    assert [pod["declared_ports"] for pod in pods] == [[8080], [8080]]


async def test_history_without_daemons_is_done_without(held: Path) -> None:
    arguments = ("check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held))
    found = await probe(*arguments, "--since", "1h30m")

    assert found.code == 1
    assert found.err.startswith("probe: no history: ")
    assert found.err.count("\n") == 1
    assert "port_mismatch" in found.out


async def test_a_reader_that_leaves_and_a_full_disk_are_no_tracebacks(held: Path) -> None:
    check = ("check", "all", "-A", "-o", "json", "--kubeconfig", str(held))

    left = await unread(*check)
    full = await shell(f"probe {' '.join(check)} >/dev/full")

    assert (left.code, left.err) == (141, "")
    assert (full.code, full.err) == (
        2,
        "probe: the results cannot be written: No space left on device\n",
    )


async def test_ctrl_c_ends_it_at_any_moment_without_a_word(tmp_path: Path) -> None:
    with ExitStack() as sockets:
        address = f"127.0.0.1:{full(sockets)}"
        for moment in (0.3, 0.8, 1.6):
            async with running("check", "addr", "--timeout", "30", address) as command:
                await asyncio.sleep(moment)
                code, seconds = await command.stop(signal.SIGINT)
                await until(lambda: command.process.returncode is not None)
            assert quiet(command, code, signal.SIGINT), command.lines
            assert seconds < 20
