"""Finds the API server and proves who we are, as kubectl does and as a pod would.

A kubeconfig that is named or found comes before the pod's own service account. Tokens in files
are read again for every request: a few per minute, and a rotated one is never used late.
"""

import asyncio
import base64
import binascii
import functools
import ipaddress
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from probe.apiserver import exec_plugin
from probe.apiserver.refusals import ConnectionSettingsError
from probe.apiserver.upstream import (
    ConfigException,
    Configuration,
    InClusterConfigLoader,
    KubeConfigLoader,
)
from probe.core.targets import Network, masked

SANDBOX_EXTENSION = "edgeprobe.dev/sandbox"
"""The cluster extension by which a sandbox says which addresses its pods have."""

POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a kubelet puts a service account's token, CA and namespace."""

PROVIDER_SECONDS = 60.0
"""For an auth-provider (OIDC, gcloud) to renew a token; arbitrary."""

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The API server's URL, the namespace meant where none is named, what may be dialed there
    though it is loopback, and whether it is the pod's own that we run in."""

    server: str
    namespace: str
    allow_targets: tuple[Network, ...] = ()
    expires: datetime | None = None
    in_pod: bool = False


class Access:
    """Where the API server is and who we are to it, for as long as it takes.

    `configuration` is kubernetes_asyncio's, for TLS.
    """

    def __init__(self, source: Callable[[Any], Awaitable[Cluster]]) -> None:
        self._source = source
        self._loading = asyncio.Lock()
        self.loads = 0
        self.cluster = Cluster("", "")
        self.configuration: Any = None

    async def load(self, seen: int = 0) -> None:
        """Reads everything again, plugins included, unless someone has since `loads` was `seen`.

        Raises ConnectionSettingsError and then keeps what it had.
        """
        async with self._loading:
            if self.loads != seen:
                return
            configuration = Configuration()
            # A Go client never asks for these X.509 extensions, and old clusters lack them.
            configuration.disable_strict_ssl_verification = True
            # Every resource watched in every namespace holds a connection.
            configuration.connection_pool_maxsize = 0
            self.cluster = await self._source(configuration)
            self.configuration = configuration
            self.loads += 1

    async def authorization(self) -> str | None:
        """The Authorization header of the next request. Raises ConnectionSettingsError."""
        if self.cluster.expires is not None and self.cluster.expires <= datetime.now(UTC):
            await self.load(self.loads)
        setting = (await self.configuration.auth_settings()).get("BearerToken")
        if setting is None:
            return None
        value = str(setting["value"]).strip()
        if not value.isprintable():
            raise ConnectionSettingsError(
                f"the token for {self.cluster.server} holds characters that no header may: renew it"
            )
        return value

    def identity(self) -> tuple[bytes | None, ...]:
        """The certificates by content: other ones need new connections."""
        c = self.configuration
        return tuple(_content(path) for path in (c.ssl_ca_cert, c.cert_file, c.key_file))


def _content(path: str | None) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None


async def find(
    kubeconfig: str | None,
    context: str | None,
    *,
    terminal: bool = False,
    environ: Mapping[str, str] = os.environ,
    pod_folder: Path = POD_FOLDER,
) -> Access:
    """The access that kubectl would have here: the file named, $KUBECONFIG, ~/.kube/config, the
    pod's service account. On a `terminal` an exec plugin may speak to a person by our stderr.
    Raises ConnectionSettingsError."""
    paths, name = _found(kubeconfig, context, environ)
    if paths:
        source = functools.partial(_from_kubeconfig, paths, name, terminal)
    else:
        source = functools.partial(_from_pod, environ, pod_folder)
    access = Access(source)
    await access.load()
    return access


def _found(
    kubeconfig: str | None, context: str | None, environ: Mapping[str, str]
) -> tuple[list[Path], str]:
    """The kubeconfigs, and which of their contexts is meant; none for the pod's own account."""
    listed = environ.get("KUBECONFIG", "")
    home = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    if kubeconfig:
        path = Path(kubeconfig).expanduser()
        if not _is_there(path):
            raise ConnectionSettingsError(
                f"kubeconfig {path} does not exist: name an existing file with --kubeconfig"
            )
        paths = [path]
    else:
        named = [Path(part).expanduser() for part in listed.split(os.pathsep) if part]
        paths = [path for path in named or [home] if _is_there(path)]
    if paths:
        entries = {path: _read(path) for path in paths}
        return paths, _context_name(entries, context)
    if not context and environ.get("KUBERNETES_SERVICE_HOST"):
        return [], ""
    looked = f"$KUBECONFIG ({listed})" if listed else str(home)
    wanted = f"context {context!r}" if context else "the API server"
    raise ConnectionSettingsError(
        f"nothing says where {wanted} is: {looked} does not exist and this is no pod; "
        "name a file with --kubeconfig"
    )


def _is_there(path: Path) -> bool:
    """Whether to read it: what lies in a folder that we may not enter is an error, as in kubectl,
    and reading says which."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


async def _from_pod(environ: Mapping[str, str], folder: Path, configuration: Any) -> Cluster:
    token = folder / "token"
    try:
        loader = InClusterConfigLoader(
            str(token), str(folder / "ca.crt"), try_refresh_token=False, environ=environ
        )
        loader.load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise ConnectionSettingsError(
            f"the service account in {folder} is unusable ({str(error).rstrip('.')}): "
            "set automountServiceAccountToken, or name a file with --kubeconfig"
        ) from error
    configuration.refresh_api_key_hook = functools.partial(_token_from, token)
    namespace = (_content(str(folder / "namespace")) or b"default").decode().strip()
    return Cluster(configuration.host, namespace, in_pod=True)


def _token_from(path: Path, configuration: Any) -> None:
    """The token as its file has it now; while it cannot be read the last one has to do."""
    token = (_content(str(path)) or b"").decode(errors="replace").strip()
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"


def _read(path: Path) -> Entry:
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        mend = "name a file" if isinstance(error, IsADirectoryError) else "mend its permissions"
        raise ConnectionSettingsError(
            f"kubeconfig {path} cannot be read ({error.strerror}): {mend}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise ConnectionSettingsError(
            f"kubeconfig {path} is not YAML{where}: write it anew or name another file"
        ) from error
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ConnectionSettingsError(
            f"kubeconfig {path} is not a kubeconfig: it needs clusters, users and contexts"
        )
    return config


def _context_name(entries: Mapping[Path, Entry], context: str | None) -> str:
    """The context meant, settled once: what a later `kubectl config use-context` says is not
    for a daemon. As in kubectl, the first file that sets current-context wins."""
    current = [e["current-context"] for e in entries.values() if e.get("current-context")]
    name = context or (str(current[0]) if current else "")
    if not name:
        raise ConnectionSettingsError(
            f"kubeconfig {_names(entries)} sets no current-context: choose one with --context"
        )
    return name


def _names(paths: Sequence[Path] | Mapping[Path, Entry]) -> str:
    return os.pathsep.join(map(str, paths))


async def _from_kubeconfig(
    paths: Sequence[Path], name: str, terminal: bool, configuration: Any
) -> Cluster:
    entries = {path: _read(path) for path in paths}
    context = _named(entries, "context", name, "choose one with --context")[1]
    about = f"context {name!r} in kubeconfig {_names(paths)}"
    base, cluster = _named(entries, "cluster", context.get("cluster"), f"mend {about}")
    cluster = _absolute(base, cluster, "certificate-authority")
    user: Entry = {}
    if context.get("user"):
        base, user = _named(entries, "user", context["user"], f"mend {about}")
        user = _absolute(base, user, "client-certificate", "client-key", "tokenFile")
        if isinstance(user.get("exec"), dict) and "/" in str(user["exec"].get("command")):
            user["exec"] = _absolute(base, user["exec"], "command")
    server = _server(cluster, about)
    if user.get("tokenFile"):
        user.pop("token", None)  # as in client-go, the file goes before the text
        configuration.refresh_api_key_hook = functools.partial(_token_from, Path(user["tokenFile"]))
    expires = None
    if isinstance(user.get("exec"), dict):
        given = await _asked(user.pop("exec"), name, about, terminal=terminal)
        user.update(given.user)
        expires = given.expires
    await _authenticate(cluster, user, about, configuration)
    return Cluster(
        server, context.get("namespace") or "default", _allowed(cluster, server, about), expires
    )


def _named(entries: Mapping[Path, Entry], kind: str, name: object, fix: str) -> tuple[Path, Entry]:
    """The first entry of that name, and the folder that its relative paths start from."""
    seen = []
    for path, config in entries.items():
        listed = config.get(f"{kind}s")
        for entry in listed if isinstance(listed, list) else ():
            if not isinstance(entry, dict):
                continue
            seen.append(str(entry.get("name")))
            if entry.get("name") == name and isinstance(entry.get(kind) or {}, dict):
                return path.absolute().parent, dict(entry.get(kind) or {})
    there = f"it has {', '.join(seen)}" if seen else "it has none"
    raise ConnectionSettingsError(
        f"kubeconfig {_names(entries)} has no {kind} {name!r} ({there}): {fix}"
    )


def _absolute(base: Path, entry: Entry, *fields: str) -> Entry:
    paths = {field: str(base / str(entry[field])) for field in fields if entry.get(field)}
    return {**entry, **paths}


def _server(cluster: Entry, about: str) -> str:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("http://", "https://")) or not urlsplit(server).hostname:
        raise ConnectionSettingsError(
            f"{about} leads to server {server!r}, which is no URL: write https://HOST:PORT there"
        )
    proxy = cluster.get("proxy-url")
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise ConnectionSettingsError(
            f"{about} asks for the proxy {masked(str(proxy))!r}: only HTTP proxies are supported, "
            "name one"
        )
    return server


async def _asked(spec: Entry, name: str, about: str, *, terminal: bool) -> exec_plugin.Credential:
    """What the user's exec plugin says that we are."""
    try:
        return await exec_plugin.credential(spec, name, terminal=terminal)
    except exec_plugin.PluginFailed as failed:
        problem = str(failed)
    except FileNotFoundError as error:
        problem = f"{error.filename} was not found: install it or mend the path"
    except OSError as error:
        problem = f"{spec['command']} cannot be run ({error.strerror}): mend its permissions"
    except (KeyError, TypeError, ValueError) as error:  # env is no list of names and values
        problem = f"its exec plugin is written wrong ({error!r}): mend it"
    raise ConnectionSettingsError(f"{about} is unusable: {problem}")


async def _authenticate(cluster: Entry, user: Entry, about: str, configuration: Any) -> None:
    """Lets the library fill the configuration."""
    config = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
    }
    try:
        for field in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            base64.b64decode(str(cluster.get(field) or user.get(field) or ""))
        async with asyncio.timeout(PROVIDER_SECONDS):
            await KubeConfigLoader(config_dict=config).load_and_set(configuration)
    except TimeoutError:
        problem = f"its auth-provider did not answer within {PROVIDER_SECONDS:.0f} s: log in anew"
    except binascii.Error:
        problem = "its certificate data is no base64: write it anew"
    except FileNotFoundError as error:
        problem = f"{error.filename} was not found: install it or mend the path"
    except Exception as error:  # the library raises a dozen kinds for a dozen ways to be wrong
        problem = f"{' '.join(str(error).split()).rstrip('.') or type(error).__name__}: mend it"
    else:
        return
    raise ConnectionSettingsError(f"{about} is unusable: {problem}")


def is_loopback(server: str) -> bool:
    """Whether the URL's host is a loopback address; a name, even localhost, may be anything."""
    try:
        return ipaddress.ip_address(urlsplit(server).hostname or "").is_loopback
    except ValueError:
        return False


def _allowed(cluster: Entry, server: str, about: str) -> tuple[Network, ...]:
    """The sandbox's loopback networks. Only an API server on this very machine may open ours:
    not one elsewhere, nor one behind a proxy, to which 127.0.0.1 is another machine."""
    if not is_loopback(server) or cluster.get("proxy-url"):
        return ()
    extensions = cluster.get("extensions") or []
    if not isinstance(extensions, list):
        raise ConnectionSettingsError(
            f"{about}: its cluster's extensions are no list: write each as - name, extension"
        )
    for item in extensions:
        if isinstance(item, dict) and item.get("name") == SANDBOX_EXTENSION:
            return _networks(item.get("extension") or {}, about)
    return ()


def _networks(extension: object, about: str) -> tuple[Network, ...]:
    """The extension's allow_targets. Only text is read as a network: ip_network takes numbers
    too, and 5 would be 0.0.0.5."""
    if not isinstance(extension, dict):
        raise ConnectionSettingsError(
            f"{about}: {SANDBOX_EXTENSION} is no mapping: write allow_targets: [127.0.0.0/8] in it"
        )
    listed = extension.get("allow_targets") or []
    wrong = f"{about}: allow_targets of {SANDBOX_EXTENSION} is no list of networks"
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise ConnectionSettingsError(f"{wrong}: write it as [127.0.0.0/8], not {listed!r}")
    try:
        return tuple(ipaddress.ip_network(text) for text in listed)
    except ValueError as error:
        raise ConnectionSettingsError(f"{wrong}: {error}") from error
