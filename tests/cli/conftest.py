"""A cluster held by the program itself, and logging as the test found it."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import PATIENCE, environment


@contextmanager
def holding(folder: Path, scenario: str = "port-mismatch", *more: str) -> Iterator[Path]:
    """The kubeconfig of a cluster that `probe demo --hold` keeps standing."""
    path = folder / "kubeconfig"
    flags = ("--hold", scenario, "--write-kubeconfig", str(path), *more)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "probe", "demo", *flags), stderr=log, env=environment()
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield path
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster that `probe demo --hold port-mismatch` keeps standing, for tests
    that only look; not for daemons, which are told to all who look."""
    with holding(tmp_path_factory.mktemp("held")) as path:
        yield path


@pytest.fixture
def held_alone(tmp_path: Path) -> Iterator[Path]:
    """The same for a test that changes it."""
    with holding(tmp_path) as path:
        yield path


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """`probe run` sets the process's logging up, which is the test's process here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
