"""What a client takes, by its Accept headers: gzip or not, and which of Prometheus' formats."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format"""

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""https://prometheus.io/docs/specs/om/open_metrics_spec/"""


def weight(header: str, name: str) -> float:
    """How much a header such as Accept wants this, 0 if it is not named (RFC 9110, 12.4.2).

    Of several entries of that name the highest counts; a weight that is no number is 1.
    """
    return max(
        (_weight(each) for each in header.lower().split(",") if _name(each) == name), default=0.0
    )


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip."""
    return weight(accepted, "gzip") > 0


def takes_openmetrics(accepted: str) -> bool:
    """Whether an Accept header wants OpenMetrics rather than the text format."""
    wanted = weight(accepted, "application/openmetrics-text")
    return wanted > 0 and wanted >= weight(accepted, "text/plain")


def _name(entry: str) -> str:
    return entry.partition(";")[0].strip()


def _weight(entry: str) -> float:
    for parameter in entry.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
