"""What a command has imported by the time it begins its work: nobody pays for another one's."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import environment

CLUSTER = {"aiohttp", "asyncio", "kubernetes_asyncio", "msgspec", "pydantic_settings", "yaml"}
"""What commands that talk to a cluster need, and what comes with it: half a second."""

REST = {"prometheus_client", "rich"}

SEEN = """
import sys
sys.argv[0] = "probe"
try:
    from probe.cli.app import main
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    found = subprocess.run(
        (sys.executable, "-c", SEEN, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in found.stderr, found.stderr
    return set(found.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",), ("check", "--help")])
def test_help_imports_none_of_the_commands(arguments: tuple[str, ...]) -> None:
    found = imported(*arguments)

    assert "probe.cli.commands" in found
    assert not found & (CLUSTER | REST)
    assert not {"probe.cli.run", "probe.cli.demo", "probe.cli.check", "probe.cli.addr"} & found


def test_addresses_are_dialed_before_anything_is_imported_that_only_shows_them() -> None:
    found = imported("check", "addr", "0:80")  # which ends where the first dial would begin

    assert "probe.dialer" in found
    assert not found & (CLUSTER | REST)


def test_manifests_are_linted_without_what_talks_to_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
    found = imported("lint", str(tmp_path))

    assert {"probe.lint.linting", "yaml"} <= found
    assert not found & (CLUSTER - {"yaml"} | {"prometheus_client"})


def test_the_daemon_imports_neither_models_nor_a_terminal() -> None:
    found = imported("run", "--kubeconfig", "/dev/null")

    assert {"probe.daemon", "kubernetes_asyncio.config.kube_config"} <= found
    assert not found & {"rich", "urllib3", "dateutil", "multiprocessing.pool"}
    assert not [name for name in found if name.startswith("kubernetes_asyncio.client.models")]
    assert not [name for name in found if name.startswith("kubernetes_asyncio.client.api")]
