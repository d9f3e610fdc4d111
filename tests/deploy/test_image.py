"""What the Dockerfile makes: nothing but Python and what edgeprobe needs, for nobody."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from deploy.image.rootfs import installed, lay_out
from deploy.manifests.chart import CHART

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = [re.split(r"[^\w-]", each)[0] for each in PROJECT["dependencies"]]

IMPORTS = "import ssl, ctypes, probe.core.world; from probe.cli.app import main; main()"


def test_it_needs_what_edgeprobe_requires_and_not_what_builds_or_tests_it() -> None:
    found = {path.parts[-2] for path in installed(*REQUIRED)}

    assert {"aiohttp", "pydantic", "yaml", "rich"} <= found
    assert not {"pip", "hatchling", "pytest", "hypothesis", "mypy"} & found


def test_what_is_copied_in_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    ]

    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in kept), name


def test_the_base_is_pinned_and_the_versions_are_the_project_s() -> None:
    version = PROJECT["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert re.search(r"^ARG BASE=\S+:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert f"ARG VERSION={version}\n" in DOCKERFILE
    assert (chart["version"], chart["appVersion"]) == (version, version)


@pytest.mark.slow
def test_nobody_runs_probe_in_it_where_there_is_no_shell(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("chroot(2) needs root, and no package helps")
    folder = tmp_path / "rootfs"
    folder.mkdir(mode=0o755)
    lay_out(folder, *REQUIRED)
    # The tests' environment has the package elsewhere, if at all; in the image it is installed.
    (site,) = folder.rglob("site-packages")
    # Without what other tests compile meanwhile: its names come and go.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "probe", site / "probe", ignore=compiled, dirs_exist_ok=True)

    assert not (folder / "bin" / "sh").exists()
    assert not list(folder.rglob("bin/bash"))
    assert not list(site.glob("pip*"))
    ran = subprocess.run(
        [Path(sys.prefix, "bin", "python"), "-B", "-c", IMPORTS, "--version"],
        preexec_fn=lambda: _become_nobody_in(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={},
    )
    assert ran.stdout.startswith("probe "), ran.stderr


def _become_nobody_in(folder: Path) -> None:
    os.chroot(folder)
    os.chdir("/")
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
