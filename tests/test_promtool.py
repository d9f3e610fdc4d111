"""What Prometheus' own tool says of what we give to Prometheus."""

import shutil
import subprocess
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "data" / "metrics.prom"
PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not in $PATH")
def test_promtool_finds_nothing_to_say_about_the_metrics() -> None:
    assert PROMTOOL is not None
    found = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=GOLDEN.read_text(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
