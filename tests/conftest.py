"""What holds for all tests: no stray event loop, no silent skip where CI says so, no chance."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.binaries import SIMPLE, WHOLE, find
from tests.desk import Desk

# pytest-asyncio asks for the current event loop; Python 3.11 would make one that nobody closes.
asyncio.set_event_loop(None)

# Who is started in the background of a shell has Ctrl-C ignored, and so have the commands that the
# tests start, and then send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

RANDOM = "PROBE_TESTS_RANDOM"
"""Set by whoever looks for what nobody has thought of: hypothesis tries other examples in each run
then. Else a run finds what the run before it has found, and a busy machine changes nothing."""

settings.register_profile(
    "all",
    deadline=None,
    derandomize=RANDOM not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("all")

STRICT = "PROBE_TESTS_NO_SKIP"
"""Set by .ci/run, which installs what the optional tests need: there a skip is a failure."""

KUBERNETES = "KUBEBUILDER_ASSETS"
"""In the reason of every skip for want of Kubernetes' own binaries: no package brings those. That
excuses a skip, unless the test's tier has all that it needs."""

HOPELESS = "no package helps"
"""In the reason of a skip for want of what cannot be installed: that excuses it, too."""

CLUSTERS = ("tests/deployed/", "tests/real/")
"""Where each test needs a whole real cluster."""

TIER = "tier"
"""What a test's report says of its tier, as a user property."""

MEASURED = "measured"
"""What a test has measured for people to read, as a user property of its report."""

FIGURES: list[str] = []


@dataclass
class Tier:
    """Tests that need more than Python, by their marker; and what became of them in this run."""

    name: str
    needs: tuple[str, ...]
    ran: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def whole(self) -> bool:
        return all(find(name) is not None for name in self.needs)


TIERS = {
    "apiserver": Tier("a real API server alone", (*SIMPLE, "kubectl")),
    "real": Tier("real Kubernetes, nodes in network namespaces", WHOLE),
    "kubelet": Tier("the same with real kubelets and containerd", (*WHOLE, "kubelet")),
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    markers = [marker for marker in TIERS if item.get_closest_marker(marker)]
    if report.skipped:
        reason = _why(report)
        excused = HOPELESS in reason or (
            KUBERNETES in reason and not any(TIERS[marker].whole for marker in markers)
        )
        if os.environ.get(STRICT) and not excused:
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be missing: {reason}"
    report.user_properties.extend((TIER, marker) for marker in markers)
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counts in the process that tells of the tests, wherever they ran."""
    tiers = [TIERS[str(marker)] for what, marker in report.user_properties if what == TIER]
    for tier in tiers:
        if report.skipped:
            tier.skipped[_why(report).removeprefix("Skipped: ")] += 1
        elif report.when == "call" or (report.when == "setup" and report.failed):
            tier.ran += 1
    if report.when == "call":
        FIGURES.extend(str(said) for what, said in report.user_properties if what == MEASURED)


def _why(report: pytest.TestReport) -> str:
    """The reason of a skip."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells figures at the end of the run: what a process of xdist prints is seen by nobody."""
    return partial(record_property, MEASURED)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as found:
        yield found


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives each process whole files, so that their fixtures are made once; and one process all
    tests that need a whole cluster, since two clusters starve each other on two cores."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return CLUSTERS[0] if file.startswith(CLUSTERS) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    return SideBySide(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The clusters take longest, so they begin."""
    items.sort(key=lambda item: not item.nodeid.startswith(CLUSTERS))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Last of all what was measured, how many tests of each tier ran, what the others missed."""
    yield
    if FIGURES:
        terminalreporter.section(MEASURED)
        for figures in FIGURES:
            terminalreporter.write_line(figures)
    asked = [tier for tier in TIERS.values() if tier.ran or tier.skipped]
    if asked:
        terminalreporter.section("tiers")
    for tier in asked:
        missed = f", {tier.skipped.total()} skipped" if tier.skipped else ""
        terminalreporter.write_line(f"{tier.name}: {tier.ran} ran{missed}")
        for reason, count in tier.skipped.most_common():
            terminalreporter.write_line(f"  {count} x {reason}")
