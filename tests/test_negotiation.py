import pytest

from probe.negotiation import OPENMETRICS, TEXT, takes_gzip, takes_openmetrics, weight

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2.42 sends (scrape/scrape.go, scrapeAcceptHeader)."""

TEXT_FIRST = (
    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", 0.0),
        ("gzip", 1.0),
        ("deflate, GZIP ; q=0.5", 0.5),
        ("gzip;q=0", 0.0),
        ("gzip;q=0.2, gzip;level=1;q=0.4", 0.4),
        ("gzip;q=", 1.0),
        ("x-gzip-not", 0.0),
    ],
)
def test_a_name_has_the_weight_that_the_header_gives_it(header: str, expected: float) -> None:
    assert weight(header, "gzip") == expected
    assert takes_gzip(header) is (expected > 0)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (PROMETHEUS_2, True),
        (TEXT_FIRST, False),
        (OPENMETRICS, True),
        (TEXT, False),
        ("*/*", False),
        ("", False),
    ],
)
def test_openmetrics_is_for_those_who_want_it_most(header: str, expected: bool) -> None:
    assert takes_openmetrics(header) is expected
