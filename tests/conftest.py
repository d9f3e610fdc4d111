"""What holds for all tests: no stray event loop, and no silent skip where CI says so."""

import asyncio
import os
from collections.abc import Generator

import pytest

# pytest-asyncio asks for the current event loop; Python 3.11 would make one that nobody closes.
asyncio.set_event_loop(None)

STRICT = "PROBE_TESTS_NO_SKIP"
"""Set by .ci/run, which installs what the optional tests need: there a skip is a failure."""

KUBERNETES = "KUBEBUILDER_ASSETS"
"""In the reason of every skip for want of Kubernetes' own binaries: no package brings those."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get(STRICT) and KUBERNETES not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be missing: {report.longrepr}"
    return report
