"""Whether the addresses that programs are told to connect to can be connected to at all."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from probe.core import listening
from probe.core.ports import is_auxiliary
from probe.core.targets import THIS_NETWORK, numeric, port_fault
from probe.lint.documents import Document
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set
from probe.lint.settings import ASKED, Setting, Told, of_slice, ports_of_slice
from probe.lint.spots import Spot, reads_like_an_address, spots
from probe.lint.values import Path, items, number

ZERO = Rule(
    "zero-address",
    Severity.ERROR,
    "A program is told to connect to the zero address",
    "0 in any notation (0, 0.0.0.0, 0x0, [::]), or an empty host, is no destination: whoever "
    "connects to it reaches itself.",
    "name the host that is meant",
)
PORT = Rule(
    "port-out-of-range",
    Severity.ERROR,
    "A port is 0 or over 65535",
    "Such a port cannot be dialed, and the API server refuses a Service or a pod that has it.",
    "name the port that is meant, 1-65535",
)

LISTENED_UNDER = re.compile(
    r"receivers?|extensions?|listen\w*|bind\w*|entry_?points?|serve|inbounds?|exporters?|telemetry"
    r"|admin\w*|metrics?|server|service|web",
    re.IGNORECASE,
)
"""Sections of configuration files in which an address of all interfaces is one to listen on: the
OpenTelemetry Collector's (exporters too: prometheus), Envoy's, Traefik's, Dex's."""

MEANT_FOR_CALLERS = listening.vocabulary(
    "url uri uris target upstream upstreams backend backends remote peer peers pass"
)
"""What the last word of a name is that no program calls its listener by."""

LIBPQ = frozenset({"pghost", "pghostaddr"})
"""Variables of PostgreSQL's clients alone (postgresql.org/docs/current/libpq-envars.html)."""

TRANSPORTS = listening.vocabulary("tcp tcp4 tcp6 udp udp4 udp6 tls zmq rtmp rtmps rtsp srt")
"""Schemes in which programs are told where to listen as often as where to connect
(`dockerd --host=tcp://0.0.0.0:2375`)."""

PLAIN = frozenset({"0.0.0.0", "[::]", "::"})
"""How people write that a program listens on all addresses."""

_LOCAL = re.compile(r"localhost|127\.[\d.]+|\[::1\]|0\.0\.0\.0|\[::\]|\*|")
_HOST = re.compile(r"\[[^\]]+\]|[\w-]+(\.[\w-]+)*\.?")


def zeros(manifests: Manifests) -> Iterator[Finding]:
    """One for each value."""
    for told in _told(manifests):
        for spot in _destinations(told.setting):
            if severity := _severity(told, spot):
                why = f"{spot.host} is the zero address" if spot.host else "there is no host"
                yield _finding(ZERO, told, f"{why}, so whoever dials it reaches itself", severity)
                break
    for each in manifests.sets:
        for document in (*each.of_kind("EndpointSlice"), *each.of_kind("Endpoints")):
            for path, address in of_slice(document):
                if _is_zero(address):
                    yield ZERO.at(document, path, f"an endpoint has the zero address {address}")


def ports(manifests: Manifests) -> Iterator[Finding]:
    """One for each value; a zero address with such a port is a zero address."""
    for each in manifests.sets:
        for document, path, port in _declared(each):
            if reason := port_fault(port):
                yield PORT.at(document, path, f"{path[-1]}: {reason}")
    for told in _told(manifests):
        for spot in _destinations(told.setting):
            reason = None if spot.port is None else port_fault(spot.port)
            if reason and _HOST.fullmatch(spot.host) and not _may_be_ours(spot):
                yield _finding(PORT, told, reason, Severity.ERROR)
                break
    for each in manifests.sets:
        for document in (*each.of_kind("EndpointSlice"), *each.of_kind("Endpoints")):
            for path, port in ports_of_slice(document):
                if reason := port_fault(port):
                    yield PORT.at(document, path, reason)


def _declared(each: Set) -> Iterator[tuple[Document, Path, int]]:
    """The numbers of Services and containers. Zeros are left out: most are Go's for nothing, which
    the API server takes for the default (targetPort, hostPort) or refuses at once."""
    for service in each.services:
        for declared in service.ports:
            if declared.number:
                yield service.document, (*declared.path, "port"), declared.number
            if isinstance(declared.target, int) and declared.target:
                yield service.document, (*declared.path, "targetPort"), declared.target
    for workload in each.workloads:
        for container in workload.containers:
            for i, port in items(container.value.get("ports")):
                for key in ("containerPort", "hostPort"):
                    if found := number(port.get(key)):
                        yield workload.document, (*container.path, "ports", i, key), found


def _told(manifests: Manifests) -> Iterator[Told]:
    return (told for each in manifests.sets for told in each.told)


def _destinations(setting: Setting) -> Iterator[Spot]:
    """The addresses in the setting that are there to connect to."""
    name = setting.full_name
    said = frozenset(listening.words_of(name))
    listens = said & listening.LISTENS and not said & listening.ADVERTISED
    if listens or listening.of_name(name, setting.value):
        return
    called = reads_like_an_address(name)
    for spot in spots(setting.value):
        if spot.scheme or called:
            yield spot


def _severity(told: Told, spot: Spot) -> Severity | None:
    """How sure it is that this zero address, if it is one, is not there to listen on; None if it
    may well be."""
    setting = told.setting
    words = listening.words_of(setting.full_name)
    said, last = frozenset(words), words[-1] if words else ""
    callers = last in MEANT_FOR_CALLERS | LIBPQ or bool(
        said & (listening.THEIRS | listening.ADVERTISED)
    )
    if not spot.host:
        return Severity.ERROR if spot.scheme and callers else None
    if not _is_zero(spot.host):
        return None
    if setting.path[-1] == ASKED and setting.name == ASKED:
        return Severity.ERROR
    if spot.host not in PLAIN:  # nobody writes a listener like that
        return Severity.ERROR if spot.scheme or spot.port is not None else None
    if not callers and any(LISTENED_UNDER.fullmatch(each) for each in setting.under[1:]):
        return None
    sure = callers or bool(said & listening.SERVERS)
    if spot.scheme:
        if not (sure or not words or reads_like_an_address(setting.name)):
            aside = is_auxiliary(setting.name) or spot.scheme in TRANSPORTS
            return None if aside else Severity.WARNING
        if spot.scheme in TRANSPORTS and not _is_theirs(words):
            return None if setting.name in ("-H", "--host") else Severity.WARNING  # dockerd's
        another = last not in ("url", "uri", "uris") and callers and not said & listening.ADVERTISED
        return Severity.WARNING if spot.port in told.own and not another else Severity.ERROR
    if spot.port is None:
        return Severity.WARNING if sure and (last in LIBPQ or not told.own) else None
    flag = setting.name.startswith("-")  # --http.address: hardly a destination without a word of it
    if spot.port in told.own:
        return Severity.WARNING if sure and not flag else None
    if sure:
        return Severity.ERROR
    return None if flag or setting.under else Severity.WARNING


def _is_theirs(words: Sequence[str]) -> bool:
    """Whether a name with these words calls what somebody else listens on."""
    said = listening.THEIRS | listening.ADVERTISED | MEANT_FOR_CALLERS - {"url", "uri", "uris"}
    return not said.isdisjoint(words)


def _may_be_ours(spot: Spot) -> bool:
    """`localhost:0` is how a program is told to listen on any free port; zero addresses are the
    other rule's."""
    return _is_zero(spot.host) or (spot.port == 0 and bool(_LOCAL.fullmatch(spot.host)))


def _is_zero(host: str) -> bool:
    """As inet_aton reads it: 0.0.0.0/8 in any notation, or IPv6's unspecified address."""
    found = numeric(host.strip("[]")) if host[:1] in ("0", "[", ":") else None
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found is None:
        return False
    return found.is_unspecified or (isinstance(found, IPv4Address) and found in THIS_NETWORK)


def _finding(rule: Rule, told: Told, why: str, severity: Severity) -> Finding:
    setting = told.setting
    message = f"{setting.called[:200]}: {why}"
    return rule.at(told.document, setting.path, message, text=setting.line, severity=severity)
