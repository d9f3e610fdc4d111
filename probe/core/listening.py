"""Whether a name and its value say where a program listens, or where it connects to.

Environment variables and arguments follow habits, not rules: `PORT=8080` is where we listen,
`DB_PORT=5432` where the database does. A port taken for ours that is not is dialed for nothing,
and a wildcard address taken for a destination is a false alarm; so both have their words, from
the images and charts that people run (tests/core/test_listening.py has them, with the verdict).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from probe.core.targets import numeric


def vocabulary(words: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(words.split())


LISTENS = frozenset({"listen", "listener", "listeners", "bind", "serve"})
"""Whoever says one of these speaks of listening, whatever else is said but one thing."""

ADVERTISED = frozenset({"advertise", "advertised"})
"""Where others are to find what listens somewhere."""

OURS = vocabulary(
    "http https grpc rpc tcp web ws websocket server app api ui dashboard admin metrics prometheus "
    "health healthz probe debug pprof telemetry management entrypoint entrypoints "
    "aspnetcore dotnet"
)
"""Right before ADDR, ADDRESS or URLS these name a listener of our own."""

THEIRS = vocabulary(
    "backend upstream target remote peer dest destination external public published redirect"
)
"""Where somebody else listens, or where others are to find us: whatever the protocol."""

SERVERS = vocabulary(
    "db database postgres postgresql pg pgsql mysql mariadb mssql sqlserver oracle mongo mongodb "
    "redis valkey memcached memcache cache cassandra clickhouse elastic elasticsearch es "
    "opensearch solr neo4j influx influxdb couchdb couchbase rabbit rabbitmq amqp kafka nats "
    "pulsar mq mqtt activemq broker queue zookeeper zk etcd consul vault smtp mail email imap "
    "pop3 ldap ldaps statsd graphite jaeger zipkin otel otlp sentry datadog dd newrelic agent "
    "collector syslog logstash fluentd fluent loki gelf s3 minio ftp sftp proxy master primary "
    "replica sentinel kubernetes"
)
"""Servers that are named far more often by their clients than by themselves: their own images
are run with containerPorts."""

WILDCARD = frozenset({"0.0.0.0", "[::]", "*", "+", "0"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DIGIT = re.compile(r"\d")
_BLANK = re.compile(r"\s")
_BETWEEN = re.compile(r"[,;\s]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_END_OF_COMMAND = re.compile(r"&&|\|\||[;|&\n]")
_VARIABLE = re.compile(r"\[?\$[({]\w+[)}]\]?")
_SPOT = re.compile(r"(?:[\w.+-]+://)?(?:(\[[^\]]*\]|[^:/\[\]]*):)?(\d{1,5})(?:/\S*)?")
_HOSTS = ("HOST", "HOSTNAME", "HOSTS", "SERVER", "ADDR", "ADDRESS", "ENDPOINT", "URL", "URI", "IP")


ARGUMENTS_MAX, SCRIPT_MAX = 1000, 16 * 1024
"""Arguments, and characters of one of them or of a value, that are looked at: an object may hold
1.5 MB of them, and we have a tick of 20 ms for everything. Arbitrary."""


class _Spot(NamedTuple):
    """An address as it is written: `host` is None where there is a port alone."""

    host: str | None
    port: int


def of_variable(key: str, value: str, others: Mapping[str, str]) -> list[int]:
    """The ports on which an environment variable makes its container listen.

    `others` are all variables of the container: a port whose host is somebody else's is theirs.
    """
    found = of_name(key, value)
    stem, _, last = key.rpartition("_")
    if found and stem and last.upper() in ("PORT", "PORTS"):
        beside = (others.get(f"{stem}_{host}", "") for host in _HOSTS)
        return [] if any(_elsewhere(text) for text in beside) else found
    return found


def of_name(name: str, value: str) -> list[int]:
    """The ports on which a variable or flag of this name makes a program listen by this value."""
    spots = _spots(value)
    words = words_of(name) if spots else ()  # most values are of other things
    return [spot.port for spot in spots if words and _is_ours(words, spot.host)]


def written(value: str, port: int) -> str:
    """How a value that of_name found this port in says it: what else it holds may be a secret."""
    spots = (_SPOT.fullmatch(part) for part in _BETWEEN.split(value.strip()))
    return next(each[0][: each.end(2)] for each in spots if each and int(each[2]) == port)


def _is_ours(words: tuple[str, ...], host: str | None) -> bool:
    last, said = words[-1], frozenset(words)
    if said & ADVERTISED:
        return False
    if said & LISTENS:
        return last in ("listen", "bind", "port", "ports") if host is None else _is_local(host)
    if said & THEIRS:
        return False
    if last in ("port", "ports"):
        return not said & SERVERS and not _is_link(words) and (host is None or _is_open(host))
    if last in ("addr", "address", "urls"):
        ours = len(words) == 1 or words[-2] in OURS
        return host is not None and (_is_open(host) if ours else not host and not said & SERVERS)
    return False


def _is_link(words: tuple[str, ...]) -> bool:
    """`X_SERVICE_PORT` and `X_PORT_80_TCP_PORT`: how the kubelet tells of other Services."""
    return words.count("port") > 1 or (len(words) > 2 and words[-2] == "service")


def _is_open(host: str) -> bool:
    return not host or host in WILDCARD


def _is_local(host: str) -> bool:
    """Whether one can listen there: a name is somebody else's."""
    if _is_open(host) or host in _LOOPBACK or _VARIABLE.fullmatch(host):
        return True
    return "." in host and numeric(host) is not None


def _elsewhere(text: str) -> bool:
    """Whether a host, or a URL, is one that we connect to."""
    host = text.partition("://")[2] or text
    host = host.partition("/")[0].partition(":")[0]
    return bool(host) and host not in WILDCARD | _LOOPBACK and not host.startswith("$")


def _spots(value: str) -> list[_Spot]:
    if len(value) > SCRIPT_MAX or not _DIGIT.search(value):
        return []
    found = (_SPOT.fullmatch(part) for part in _BETWEEN.split(value.strip()))
    return [_Spot(each[1], int(each[2])) for each in found if each]


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Its words in lower case: `HTTP_LISTEN_ADDR`, `--http.listen-addr` and `-httpListenAddr` have
    the same. `number` at the end says nothing (Bitnami's `NGINX_HTTP_PORT_NUMBER`)."""
    apart = _HUMP.sub("_", name).lower()
    words = tuple(word for word in _NO_WORD.split(apart) if word)
    return words[:-1] if words[-1:] == ("number",) else words


# Arguments.


def of_arguments(args: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """The ports on which a command line makes its program listen, with the words that say so."""
    for command in _commands(args):
        client = _is_client(command)
        for name, value, flag in _flags(command):
            if not (client and words_of(name)[-1:] in (("p",), ("port",))):
                for port in _of_flag(name, value):
                    yield port, f"{flag}{written(value, port)}"
        for before, argument in pairwise(("", *command)):
            # `manage.py runserver 0.0.0.0:8000`, `php -S 0.0.0.0:8000`
            found = _SPOT.fullmatch(argument)
            of_a_flag = before.startswith("--") and "=" not in before
            if found and found[1] in WILDCARD and not of_a_flag:
                yield int(found[2]), written(argument, int(found[2]))


def _of_flag(name: str, value: str) -> list[int]:
    words = words_of(name)
    if words in (("p",), ("b",)):  # psql's, memcached's and gunicorn's habits
        name = "port"
    elif len(words) == 1 and words[0] in ("http", "https", "grpc", "web"):  # `-http :6060`
        name = f"{words[0]}-addr"
    return of_name(name, value)


def listens_there(args: tuple[str, ...], position: int) -> bool:
    """Whether the argument at that position is where the program listens, by its flag."""
    flag, _, value = args[position].partition("=")
    if not flag.startswith("-"):
        before = args[position - 1] if position else ""
        flag, value = (before, args[position]) if before.startswith("-") else ("", "")
    return bool(_of_flag(flag, value))


def _commands(args: tuple[str, ...]) -> Iterator[list[str]]:
    """The command line itself, and those inside of a script for a shell."""
    args = args[:ARGUMENTS_MAX]
    yield [arg for arg in args if not _BLANK.search(arg)]
    for arg in args:
        if _BLANK.search(arg):
            for command in _END_OF_COMMAND.split(arg[:SCRIPT_MAX]):
                if _DIGIT.search(command):
                    yield [word.strip("\"'") for word in command.split()]


def _flags(command: list[str]) -> Iterator[tuple[str, str, str]]:
    """Name, value, and how the name is written: `--port=`, `-listen `, `-Dserver.port=`."""
    for argument, after in pairwise((*command, "")):
        if argument.startswith("-"):
            name, equals, value = argument.partition("=")
            value = value.strip("\"'") if equals else after
            yield name.removeprefix("-D"), value, f"{name}{equals or ' '}"


def _is_client(command: list[str]) -> bool:
    """Whether the command is told of a host that it connects to (`pg_isready -h db -p 5432`)."""
    return any(
        _elsewhere(value) and not value.startswith("-")
        for name, value, _ in _flags(command)
        if name in ("-h", "-H") or words_of(name)[-1:] in (("host",), ("hostname",))
    )
