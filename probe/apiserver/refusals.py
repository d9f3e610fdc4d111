"""What goes wrong with an API server, by who said so, each as one sentence for people."""

from http import HTTPStatus

import msgspec

from probe.core.kube import Resource

RETRY_AFTER_MAX = 60.0
"""Seconds: half of the 120 s after which discovery counts as stale, whatever a server asks for."""


class ConnectionSettingsError(ValueError):
    """A kubeconfig, context or pod environment that leads to no API server; says what to mend."""


class ApiTrouble(Exception):
    """The API server gave no usable answer. Its text is one sentence."""


class Unreachable(ApiTrouble):
    """No answer, or none that is Kubernetes: network, TLS, deadlines, bodies that are no JSON."""


class Status(msgspec.Struct):
    """The API's own form of a refusal (k8s.io/apimachinery metav1.Status)."""

    code: int = 0
    reason: str = ""
    message: str = ""


class ApiError(ApiTrouble):
    """The API server's refusal: HTTP `code`, `reason` and `message` as it said them.

    `retry_after` is in seconds, capped, None if the server asked for nothing.
    """

    def __init__(self, sentence: str, status: Status, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.code = status.code
        self.reason = status.reason
        self.message = status.message
        self.retry_after = retry_after

    @property
    def forgotten(self) -> bool:
        """The version that we asked from is one the server cannot serve; only a list helps.

        410 is etcd's compaction. A version from the future is an etcd restored from a backup,
        or an API server behind its peers (storage.NewTooLargeResourceVersionError).
        """
        return self.code == HTTPStatus.GONE or "too large resource version" in self.message.lower()

    @property
    def asks_amiss(self) -> bool:
        """The request itself is wrong, so that repeating it cannot help."""
        return 400 <= self.code < 500 and self.code not in (
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.TOO_MANY_REQUESTS,
        )

    @property
    def denied(self) -> bool:
        """Who we are may not ask, or what we ask for does not exist: waiting mends neither."""
        return self.code in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def api_error(
    status: Status, verb: str, resource: Resource, namespace: str, retry_after: float | None = None
) -> ApiError:
    """The refusal of a request to `verb` the resource, as a sentence that says what would help."""
    group = f"in {resource.group}" if resource.group else 'in the core API group ""'
    where = f" of namespace {namespace}" if namespace else ""
    said = status.message or status.reason or "without saying why"
    grant = "list and watch" if verb in ("list", "watch") else verb
    match status.code:
        case HTTPStatus.FORBIDDEN:
            sentence = (
                f"the API server forbids us to {verb} {resource.name}{where}: "
                f"grant {grant} on {resource.name} {group}"
            )
        case HTTPStatus.NOT_FOUND:
            sentence = f"the API server has no {resource.name} {group} ({resource.group_version})"
        case HTTPStatus.UNAUTHORIZED:
            sentence = f"the API server does not accept our credentials: {said}"
        case code:
            sentence = f"the API server refused to {verb} {resource.name}{where}: {code} {said}"
    return ApiError(sentence, status, retry_after)


def status_of(code: int, body: bytes) -> Status:
    """The Status in an error's body, or one made from the code where there is none, as in HTML."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (ValueError, RecursionError):
        status = Status()
    return Status(code, status.reason, status.message or _phrase(code))


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; its HTTP-date form, which no API server
    sends, counts as absent."""
    if header is None or not header.strip().isdecimal():
        return None
    return min(float(header), RETRY_AFTER_MAX)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
