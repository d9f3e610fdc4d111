"""The API server is found as kubectl finds it, and what is wrong is one sentence with its fix."""

import shutil
import ssl
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe.apiserver import kubeconfig
from probe.apiserver.connection import Connection
from probe.apiserver.exchange import Limits
from probe.core.kube import SERVICES
from probe.reflector import ApiError, ConnectionSettingsError, Unreachable, connect
from tests.hostile import Server, connected, page, refuse, service, serving, write_kubeconfig

EXEC = "client.authentication.k8s.io/v1"
LISTED = page([service("a")])


def config(**changes: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        **changes,
    }


def cluster(**fields: Any) -> dict[str, Any]:
    return config(clusters=[{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **fields}}])


def user(**fields: Any) -> dict[str, Any]:
    return {
        **cluster(),
        "users": [{"name": "u", "user": fields}],
    }


def sandbox(extension: object) -> dict[str, Any]:
    return cluster(extensions=[{"name": "edgeprobe.dev/sandbox", "extension": extension}])


WRONG = {
    "not YAML": ("{", "is not YAML in line 1: write it anew"),
    "a list": ("- 1", "is not a kubeconfig: it needs clusters, users and contexts"),
    "empty": ("", "sets no current-context: choose one with --context"),
    "no contexts": (config(contexts=None), "has no context 'here' (it has none): choose one"),
    "unknown context": (config(**{"current-context": "x"}), "no context 'x' (it has here)"),
    "no cluster": (config(clusters=[]), "has no cluster 'c' (it has none): mend context 'here'"),
    "no user": (config(users=[{"name": "v"}]), "has no user 'u' (it has v): mend context 'here'"),
    "no server": (cluster(server=""), "leads to server '', which is no URL"),
    "server without scheme": (cluster(server="10.0.0.1:6443"), "write https://HOST:PORT there"),
    "CA file missing": (cluster(**{"certificate-authority": "ca.crt"}), "/ca.crt: mend it"),
    "CA no base64": (cluster(**{"certificate-authority-data": "abc"}), "is no base64: write it"),
    "CA no PEM": (cluster(**{"certificate-authority-data": "aGk="}), "are unusable"),
    "SOCKS proxy": (
        cluster(**{"proxy-url": "socks5://app:hunter2@h:1"}),
        "asks for the proxy 'socks5://...@h:1': only HTTP proxies are supported",
    ),
    "token file missing": (user(tokenFile="token"), "/token was not found: install it or mend"),
    "token of two lines": (user(token="a\nb"), "holds characters that no header may: renew it"),
    "no plugin": (user(exec={"apiVersion": EXEC, "command": "/no/aws"}), "/no/aws was not found"),
    "plugin fails": (
        user(exec={"apiVersion": EXEC, "command": "false"}),
        "exec plugin false ended with 1",
    ),
    "plugin says nothing": (user(exec={"apiVersion": EXEC, "command": "true"}), "printed no JSON"),
    "plugin without a command": (user(exec={"apiVersion": EXEC}), "plugin has no command: name it"),
    "plugin's args a text": (
        user(exec={"apiVersion": EXEC, "command": "echo", "args": "{}"}),
        "its exec plugin's args are no list",
    ),
    "plugin's env texts": (
        user(exec={"apiVersion": EXEC, "command": "true", "env": ["A=b"]}),
        "its exec plugin is written wrong (TypeError(",
    ),
    "plugin that may not be run": (
        user(exec={"apiVersion": EXEC, "command": "/dev/null"}),
        "/dev/null cannot be run (Permission denied): mend its permissions",
    ),
    "networks a number": (
        sandbox({"allow_targets": 5}),
        "allow_targets of edgeprobe.dev/sandbox is no list of networks: write it as "
        "[127.0.0.0/8], not 5",
    ),
    "networks a text": (
        sandbox({"allow_targets": "127.0.0.0/8"}),
        "is no list of networks: write it as [127.0.0.0/8], not '127.0.0.0/8'",
    ),
    "networks numbers": (sandbox({"allow_targets": [5]}), "write it as [127.0.0.0/8], not [5]"),
    "networks misspelt": (
        sandbox({"allow_targets": ["loopback"]}),
        "is no list of networks: 'loopback' does not appear to be",
    ),
    "extension a list": (
        sandbox(["127.0.0.0/8"]),
        "edgeprobe.dev/sandbox is no mapping: write allow_targets: [127.0.0.0/8] in it",
    ),
    "extension a text": (sandbox("127.0.0.0/8"), "edgeprobe.dev/sandbox is no mapping: write"),
    "extensions a number": (cluster(extensions=5), "its cluster's extensions are no list: write"),
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: Any, sentence: str) -> None:
    path = tmp_path / "config"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))

    with pytest.raises((ConnectionSettingsError, Unreachable)) as caught:
        await list_services(path)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


async def list_services(path: Path) -> None:
    connection = await connect(str(path), None, user_agent="test")
    try:
        await connection.list(SERVICES)
    finally:
        await connection.close()


async def test_a_named_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"no\.such does not exist: name an existing"):
        await connect(str(tmp_path / "no.such"), None, user_agent="test")


async def test_nothing_to_connect_to_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"\.kube/config does not exist and this is"):
        await kubeconfig.find(None, None, environ={"HOME": str(tmp_path)})
    with pytest.raises(ConnectionSettingsError, match=r"where context 'x' is: \$KUBECONFIG \(/no"):
        await kubeconfig.find(None, "x", environ={"KUBECONFIG": "/no/file"})


@pytest.mark.parametrize("how", ["named", "listed", "at home"])
async def test_a_folder_that_may_not_be_entered_is_no_missing_file(
    tmp_path: Path, how: str
) -> None:
    """Root may enter every folder, but nobody enters one whose name is too long for the kernel."""
    home = tmp_path / ("x" * 300)
    path = home / ".kube" / "config"
    environ = {"listed": {"KUBECONFIG": str(path)}, "at home": {"HOME": str(home)}}.get(how, {})

    with pytest.raises(ConnectionSettingsError) as caught:
        await kubeconfig.find(str(path) if how == "named" else None, None, environ=environ)

    assert f"kubeconfig {path} cannot be read (File name too long)" in str(caught.value)


async def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"cannot be read \(Is a directory\): name a"):
        await connect(str(tmp_path), None, user_agent="test")


async def test_the_home_directory_and_the_first_listed_file_win(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write_kubeconfig(tmp_path / ".kube" / "config", "http://home:1")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(yaml.safe_dump(config(**{"current-context": "b", "clusters": []})))
    second.write_text(
        yaml.safe_dump(
            config(
                contexts=[
                    {"name": "b", "context": {"cluster": "c", "namespace": "n"}},
                    {"name": "here", "context": {"cluster": "none"}},
                ]
            )
        )
    )
    listed = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}", "HOME": str(tmp_path)}

    home = await kubeconfig.find(None, None, environ={"HOME": str(tmp_path)})
    both = await kubeconfig.find(None, None, environ=listed)
    chosen = await kubeconfig.find(None, "here", environ=listed)

    assert home.cluster.server == "http://home:1"
    assert (both.cluster.server, both.cluster.namespace) == ("http://127.0.0.1:1", "n")
    assert chosen.cluster.namespace == "default"


@pytest.mark.parametrize(
    ("server", "more", "allowed"),
    [
        ("https://127.0.0.1:6443", {}, ("127.0.0.0/8",)),
        ("https://[::1]:6443", {}, ("127.0.0.0/8",)),
        ("https://10.0.0.1:6443", {}, ()),
        ("https://localhost:6443", {}, ()),
        ("https://127.0.0.1.example.com", {}, ()),
        ("https://127.0.0.1:6443", {"proxy-url": "http://10.0.0.9:3128"}, ()),
    ],
)
async def test_only_a_server_on_loopback_may_open_loopback(
    tmp_path: Path, server: str, more: dict[str, str], allowed: tuple[str, ...]
) -> None:
    extension = {"name": "edgeprobe.dev/sandbox", "extension": {"allow_targets": ["127.0.0.0/8"]}}
    async with connected(
        server, tmp_path, cluster={"extensions": [{"name": "other"}, extension], **more}
    ) as connection:
        assert connection.allow_targets == tuple(map(ip_network, allowed))
        assert (connection.server, connection.namespace) == (server, "demo")


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "text"}, "Bearer text"),
        ({"username": "a", "password": "b"}, "Basic YTpi"),
        ({}, None),
    ],
    ids=["token", "password", "nobody"],
)
async def test_who_we_are_is_said(tmp_path: Path, user: dict[str, str], header: str | None) -> None:
    server = Server([LISTED])
    async with serving(server), connected(server.url, tmp_path, user=user) as connection:
        await connection.list(SERVICES)

        assert server.asked[0].headers.get("Authorization") == header


async def test_a_plugin_is_asked_again_when_its_token_expires(tmp_path: Path) -> None:
    plugin, calls = tmp_path / "plugin", tmp_path / "calls"
    plugin.write_text(f"""#!/bin/sh
echo "$GREETING" >> {calls}
echo '{{"apiVersion":"{EXEC}","kind":"ExecCredential","status":{{"token":"'$(wc -l < {calls})'",'
echo '"expirationTimestamp":"2020-01-01T00:00:00Z"}}}}'
""")
    plugin.chmod(0o755)
    settings = {"exec": {"apiVersion": EXEC, "command": "./plugin", "env": [
        {"name": "GREETING", "value": "hello"}
    ]}}  # fmt: skip
    server = Server([LISTED])
    async with serving(server), connected(server.url, tmp_path, user=settings) as connection:
        await connection.list(SERVICES)
        await connection.list(SERVICES)

        used = [asked.headers["Authorization"] for asked in server.asked]
        assert used == ["Bearer 2", "Bearer 3"]
        assert calls.read_text() == "hello\n" * 3


async def test_credentials_refused_twice_are_an_error(tmp_path: Path) -> None:
    server = Server([refuse(401, "Unauthorized")])
    async with serving(server), connected(server.url, tmp_path) as connection:
        for _ in range(2):
            with pytest.raises(ApiError, match="does not accept our credentials") as caught:
                await connection.list(SERVICES)
            assert caught.value.code == 401

        assert len(server.asked) == 3  # they were read again for the first refusal, not so soon


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """ca, server and client, as .crt and .key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        *("req", "-x509", *curve, "-subj", "/CN=ca", "-days", "2"),
        *("-keyout", "ca.key", "-out", "ca.crt"),
        cwd=tmp_path,
    )
    for name in ("server", "client"):
        openssl(
            *("req", *curve, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
            cwd=tmp_path,
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-copy_extensions", "copy", "-days", "2", "-out", f"{name}.crt"),
            cwd=tmp_path,
        )
    return tmp_path


def tls(folder: Path, *, client: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    return context


async def test_a_client_certificate_opens_a_real_tls_server(certificates: Path) -> None:
    server = Server([LISTED])
    ca = {"certificate-authority": "ca.crt"}
    mine = {"client-certificate": "client.crt", "client-key": "client.key"}
    async with serving(server, tls=tls(certificates)):
        async with connected(server.url, certificates, cluster=ca, user=mine) as connection:
            found, _ = await connection.list(SERVICES)
            assert [fact.name for fact in found.facts] == ["a"]
        async with connected(server.url, certificates, cluster=ca) as connection:
            with pytest.raises(Unreachable, match="cannot be reached"):
                await connection.list(SERVICES)
        async with connected(server.url, certificates, user=mine) as connection:
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await connection.list(SERVICES)


async def test_a_new_certificate_authority_is_read_when_the_old_one_fails(
    certificates: Path,
) -> None:
    server = Server([LISTED])
    right = (certificates / "ca.crt").read_bytes()
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old", "-days", "2"),
        *("-keyout", "old.key", "-out", "old.crt"),
        cwd=certificates,
    )
    (certificates / "trusted.crt").write_bytes((certificates / "old.crt").read_bytes())
    ca = {"certificate-authority": "trusted.crt"}
    async with (
        serving(server, tls=tls(certificates, client=False)),
        connected(server.url, certificates, cluster=ca) as connection,
    ):
        (certificates / "trusted.crt").write_bytes(right)

        found, _ = await connection.list(SERVICES)

        assert [fact.name for fact in found.facts] == ["a"]


async def test_a_pod_reads_its_rotated_token_for_every_request(certificates: Path) -> None:
    shutil.copy(certificates / "ca.crt", certificates / "ca")
    (certificates / "token").write_text("first")
    (certificates / "namespace").write_text("edgeprobe")
    server = Server([LISTED])
    async with serving(server, tls=tls(certificates, client=False)):
        environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": server.url.rpartition(":")[2],
            "HOME": "/nobody",
        }
        access = await kubeconfig.find(None, None, environ=environ, pod_folder=certificates)
        connection = Connection(access, user_agent="test", limits=Limits())
        try:
            await connection.list(SERVICES)
            (certificates / "token").write_text("second")
            await connection.list(SERVICES)
        finally:
            await connection.close()

    assert connection.namespace == "edgeprobe"
    assert connection.in_pod
    assert connection.allow_targets == ()
    assert [asked.headers["Authorization"] for asked in server.asked] == [
        "Bearer first",
        "Bearer second",
    ]


async def test_a_pod_without_its_token_says_what_to_mend(tmp_path: Path) -> None:
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": "/nobody",
    }
    with pytest.raises(ConnectionSettingsError, match="set automountServiceAccountToken"):
        await kubeconfig.find(None, None, environ=environ, pod_folder=tmp_path)


async def test_a_loopback_server_is_reached_past_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = Server([LISTED])
    async with serving(server), connected(server.url, tmp_path) as connection:
        found, _ = await connection.list(SERVICES)

        assert len(found.facts) == 1
