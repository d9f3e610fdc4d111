"""An exec plugin is asked as kubectl asks it, and what it says to its person is heard."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from probe.apiserver import exec_plugin
from probe.apiserver.exec_plugin import PluginFailed, credential
from tests.cluster.processes import living
from tests.running import until

V1 = "client.authentication.k8s.io/v1"
LOGIN = "open https://device.example and enter the code ABCD-EFGH"


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": V1, "command": "sh", "args": ["-c", script], **more}


def printing(**status: Any) -> dict[str, Any]:
    answer = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
    return {"apiVersion": V1, "command": "printf", "args": ["%s", json.dumps(answer)]}


async def test_a_token_has_its_end() -> None:
    found = await credential(
        printing(token="t", expirationTimestamp="2026-11-21T10:00:00.123456789Z"),
        "prod",
        terminal=False,
    )

    assert found.user == {"token": "t"}
    assert found.expires == datetime(2026, 11, 21, 10, 0, 0, 123456, UTC)


async def test_a_certificate_comes_with_its_key() -> None:
    given = printing(clientCertificateData="CERT", clientKeyData="KEY", expirationTimestamp="x")
    found = await credential(given, "prod", terminal=False)

    assert {name: base64.b64decode(data) for name, data in found.user.items()} == {
        "client-certificate-data": b"CERT",
        "client-key-data": b"KEY",
    }
    assert found.expires is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (printing(), "gave no token and no certificate with its key"),
        (printing(clientCertificateData="CERT"), "gave no token and no certificate with its key"),
        (printing(token="t", expirationTimestamp="soon"), "expires at 'soon': that is no time"),
        ({**printing(token="t"), "apiVersion": "v0"}, f"speaks {V1}, the kubeconfig v0"),
        (shell("echo '[]'"), "printed no ExecCredential with a status"),
        (shell("echo '{}'"), "printed no ExecCredential with a status"),
        (shell("echo hello"), "printed no JSON"),
        (
            shell("echo your session has ended. >&2; echo log in >&2; exit 7"),
            "plugin sh ended with 7 and said 'your session has ended. log in': run it by hand",
        ),
    ],
)
async def test_what_is_wrong_is_said_with_the_plugin_s_own_words(
    spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(PluginFailed) as caught:
        await credential(spec, "prod", terminal=False)

    assert said in str(caught.value)


async def test_more_words_than_a_pipe_holds_hold_up_nobody() -> None:
    flood = shell(f"yes {LOGIN} | head -c 1000000 >&2; exit 1")

    with pytest.raises(PluginFailed) as caught:
        await credential(flood, "prod", terminal=False)

    assert "ABCD-EFGH" in str(caught.value)
    assert len(str(caught.value)) < 2 * exec_plugin.KEPT


async def test_a_plugin_learns_what_the_kubeconfig_adds_and_that_it_may_not_ask() -> None:
    spec = shell(
        'cat >&2; echo "$GREETING $KUBERNETES_EXEC_INFO" >&2; exit 1',
        env=[{"name": "GREETING", "value": "hello"}],
    )
    with pytest.raises(PluginFailed) as caught:
        await credential(spec, "prod", terminal=False)

    assert "said 'hello {" in str(caught.value)
    assert '"spec": {"interactive": false}' in str(caught.value)


async def test_a_plugin_that_hangs_is_ended_and_its_last_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over once it has spoken, however long a busy machine takes to start it."""
    told, loop = tmp_path / "pid", asyncio.get_running_loop()
    spec = shell(f"echo '{LOGIN}' >&2; echo $$ > {told}.new; mv {told}.new {told}; exec sleep 1000")
    asking = asyncio.create_task(credential(spec, "prod", terminal=False))
    await until(told.exists)
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + exec_plugin.SECONDS)

    with pytest.raises(PluginFailed, match=f"not answer within 60 s and said '{LOGIN}': run it by"):
        await asking

    await until(lambda: living(int(told.read_text())) is None)
