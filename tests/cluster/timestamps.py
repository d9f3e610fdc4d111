"""Wall time as Kubernetes writes it."""

from datetime import UTC, datetime


def now() -> str:
    """A metav1.Time: seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro() -> str:
    """A metav1.MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
