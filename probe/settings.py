"""Every knob of the daemon, its default and its environment name.

Flags beat the environment (`PROBE_INTERVAL`), which beats the YAML file (`--config`, or
PROBE_CONFIG). What is parsed here is handed down as plain values; nothing below reads the
environment. A wrong setting is one sentence that names it and where it came from.
"""

import os
import re
import socket
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from probe.core.edges import Scope
from probe.core.rounds import Config
from probe.core.targets import Network

ENV_PREFIX = "PROBE_"


Names = Annotated[tuple[str, ...], NoDecode]
"""A list in the file; in flags and the environment separated by commas."""


LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS-1123 label, which is what Kubernetes takes as a namespace's name, and as a Service's."""

KEY_MAX = 1024
"""Bytes of the key: half of what the server admits of a header (server.FIELD_MAX)."""

NODE_MAX = 253
"""Bytes of a node's name: a DNS-1123 subdomain's (k8s.io/apimachinery, util/validation)."""

WORDS = {
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text: put it in quotes",
    "tuple_type": "must be a list",
    "literal_error": "must be {expected}",
}
"""What pydantic says of a value, by its error type, as what to write instead."""


class SettingsError(ValueError):
    """Settings that cannot be used; the text is one sentence naming the setting and the fix."""


class Settings(BaseSettings):
    """The settings in force. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    listen: str = Field(
        ":9797",
        description="HOST:PORT for /metrics and the API; without HOST every address, of IPv4 and "
        "IPv6.",
    )
    node_name: str = Field("", description="This node's name. Default: the host's name.")
    kubeconfig: str | None = Field(
        None,
        description="Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, the pod's account.",
    )
    context: str | None = Field(None, description="Context of the kubeconfig.")
    interval: float = Field(
        10.0,
        ge=0.1,
        le=3600,
        description="Seconds between dials of an edge. "
        "A verdict on a refusal needs seconds, one on a black hole up to a minute.",
    )
    timeout: float = Field(
        4.0,
        ge=0.1,
        le=60,
        description="Seconds until a dial is a timeout; 3 s or less hides unreachable.",
    )
    settle: float = Field(
        30.0, ge=0, le=600, description="Seconds for which a new endpoint's failures do not count."
    )
    linger: float = Field(
        30.0, ge=0, le=600, description="Seconds for which a finished rollout explains failures."
    )
    max_in_flight: int = Field(1000, ge=1, le=60000, description="Most dials open at once.")
    max_dials_per_second: float = Field(
        1000.0, ge=1, le=100000, description="Most dials begun per second by this daemon."
    )
    max_series: int = Field(
        50_000,
        ge=100,
        description="Most series of Service ports and endpoints on /metrics; what fails comes "
        "first, edgeprobe_series counts the rest.",
    )
    close: Literal["auto", "fin", "rst"] = Field(
        "auto",
        description="How connections are closed; auto: by FIN, by RST where FIN would leave much.",
    )
    namespaces: Names = Field((), description="Only these namespaces. Default: all.")
    deny_namespaces: Names = Field((), description="Never these namespaces.")
    allow_targets: Names = Field((), description="CIDRs inside which loopback may be dialed.")
    manual_targets: Names = Field(
        (), description="CIDRs inside which endpoints without a pod may be dialed."
    )
    dial_mysql: bool = Field(
        False, description="Dial MySQL ports too, which block hosts that only connect and close."
    )
    peers: str = Field(
        "edgeprobe/edgeprobe",
        description="NAMESPACE/NAME of the headless Service whose endpoints are the daemons.",
    )
    vantage: Literal["pod", "host", "local"] = Field(
        "pod", description="Where the daemon dials from: a pod's network, the host's, elsewhere."
    )
    events: bool | None = Field(
        None,
        description="Post incidents as Kubernetes Events. Default: unless --vantage is local.",
    )
    api_key: str = Field("", description="Key that /api/v1 wants in the header X-Edgeprobe-Key.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="JSON unless on a terminal, or as said."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        parse_listen(value)
        return value

    @field_validator(
        "namespaces", "deny_namespaces", "allow_targets", "manual_targets", mode="before"
    )
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        *("interval", "timeout", "settle", "linger", "max_in_flight", "max_dials_per_second"),
        "max_series",
        mode="before",
    )
    @classmethod
    def _numbers(cls, value: object) -> object:
        if isinstance(value, bool):  # pydantic takes YAML's true, and its yes and on, as 1
            raise ValueError("must be a number")
        return value

    @field_validator("namespaces", "deny_namespaces")
    @classmethod
    def _labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not LABEL.fullmatch(name):
                raise ValueError(
                    f"{name!r} can be no namespace: lower-case letters, digits and inner hyphens, "
                    "at most 63"
                )
        return value

    @field_validator("allow_targets", "manual_targets")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value

    @field_validator("api_key")
    @classmethod
    def _api_key(cls, value: str) -> str:
        """Without the blanks around it, which no header keeps: `echo KEY | base64` leaves a line's
        end in a Secret."""
        return _line(value, KEY_MAX, unset="if /api/v1 is to want no key")

    @field_validator("node_name")
    @classmethod
    def _node_name(cls, value: str) -> str:
        """As a key: it goes into a header too, the one that names us to the API server."""
        return _line(value, NODE_MAX, unset="for the host's name")

    @field_validator("peers")
    @classmethod
    def _peers(cls, value: str) -> str:
        namespace, _, name = value.partition("/")
        if value and not (LABEL.fullmatch(namespace) and LABEL.fullmatch(name)):
            raise ValueError("write it as NAMESPACE/NAME")
        return value

    @model_validator(mode="after")
    def _namespaces_apart(self) -> Self:
        if self.namespaces and set(self.namespaces) & set(self.deny_namespaces):
            raise ValueError("namespaces and deny_namespaces name the same namespace")
        return self

    @property
    def node(self) -> str:
        return self.node_name or socket.gethostname()

    @property
    def posts_events(self) -> bool:
        """What a laptop sees is not the cluster's to tell."""
        return self.vantage != "local" if self.events is None else self.events

    def world(self, allow: tuple[Network, ...] = (), *, once: bool = False) -> Config:
        """The World's own configuration; `allow` adds to allow_targets (the sandbox's)."""
        scope = Scope(
            namespaces=frozenset(self.namespaces),
            denied_namespaces=frozenset(self.deny_namespaces),
            allow_targets=(*map(ip_network, self.allow_targets), *allow),
            manual_targets=tuple(map(ip_network, self.manual_targets)),
            dial_blocking_ports=self.dial_mysql,
        )
        namespace, _, name = self.peers.partition("/")
        return Config(
            node=self.node,
            interval=self.interval,
            timeout=self.timeout,
            settle=self.settle,
            linger=self.linger,
            dials_per_second=self.max_dials_per_second,
            scope=scope,
            peers=(namespace, name) if name else None,
            once=once,
            on_node=self.vantage != "local",
        )


def parse_listen(text: str) -> tuple[str, int]:
    """HOST and PORT to listen on; any local address is fine here, none at all is every one of both
    families, port 0 picks a free one."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _line(value: str, most: int, unset: str) -> str:
    """The value without the blanks around it, if it is one line of at most so many bytes, or
    nothing at all; `unset` says when it may be left out."""
    line = value.strip()
    if value and not line:
        raise ValueError(f"must not be blank: leave it out {unset}")
    if not line.isprintable():
        raise ValueError("must be one line of text: a header holds nothing else")
    if len(line.encode()) > most:
        raise ValueError(f"must be at most {most} bytes")
    return line


def load(flags: dict[str, Any], config: str | None = None) -> Settings:
    """The settings from flags (only those given), environment and file. Raises SettingsError."""
    config = config or os.environ.get(f"{ENV_PREFIX}CONFIG") or None
    values = _read(Path(config)) if config else {}
    known = {name.lower() for name in os.environ}
    # Flags beat the environment, which beats the file: a file's value yields to a variable.
    kept = {k: v for k, v in values.items() if f"{ENV_PREFIX}{k}".lower() not in known}
    try:
        return Settings(**{**kept, **flags})
    except ValidationError as failed:
        raise SettingsError(_sentence(failed, flags, kept, config)) from None


SERVICE_LINK = re.compile(
    r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What follows PROBE_ in the variables by which a kubelet tells a pod of a Service `probe` or
`probe-...` in its namespace (kubernetes pkg/kubelet/envvars, FromServices)."""


def misspelt(environ: Mapping[str, str] = os.environ) -> list[tuple[str, str]]:
    """The variables that look like one of ours and are none, each with the one that is nearest.
    Others may have a PROBE_ of their own, so that these are worth a word and no refusal."""
    ours = ("CONFIG", *(name.upper() for name in Settings.model_fields))
    found = []
    for variable in sorted(environ):
        prefix, name = variable[: len(ENV_PREFIX)].upper(), variable[len(ENV_PREFIX) :].upper()
        if prefix != ENV_PREFIX or name in ours or SERVICE_LINK.fullmatch(name):
            continue
        found += [(variable, ENV_PREFIX + near) for near in get_close_matches(name, ours, 1)]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as failed:
        raise SettingsError(f"--config {path}: cannot be read: {failed.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as failed:
        # What the parser says of it quotes the file, and there may be a key in that.
        mark = getattr(failed, "problem_mark", None)
        where = f"see line {mark.line + 1}" if mark else "it holds what is no text"
        raise SettingsError(f"--config {path}: is not YAML: {where}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SettingsError(f"--config {path}: must hold a mapping of settings to values")
    return {str(key).replace("-", "_"): value for key, value in found.items()}


def _sentence(
    failed: ValidationError, flags: dict[str, Any], values: dict[str, Any], config: str | None
) -> str:
    """The first fault, naming the setting as the user wrote it."""
    error = failed.errors()[0]
    name = str(error["loc"][0]) if error["loc"] else ""
    words = WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
    message = words.format(**error.get("ctx", {})) if error["type"] in WORDS else words
    # A key that is wrong here may well be right elsewhere: it is not for a log.
    given = f" (given: {error['input']!r})" if name and name != "api_key" else ""
    if name in flags:
        where = f"--{name.replace('_', '-')}"
    elif name in values:
        where = f"{name} in {config}"
    else:
        where = f"{ENV_PREFIX}{name.upper()}" if name else "settings"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such setting"
    return f"{where}: {message}{given}"
