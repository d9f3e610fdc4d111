"""What kustomize makes of deploy/kustomize, and of an overlay that a user writes beside it."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests.__main__ import DEPLOY
from tests.running import KUBECTL


def kustomized(folder: Path) -> list[dict[str, Any]]:
    if KUBECTL is None:
        pytest.skip("no kubectl in KUBEBUILDER_ASSETS")
    command = [KUBECTL, "kustomize", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [each for each in yaml.safe_load_all(made.stdout) if each]


def overlaid(folder: Path, **kustomization: Any) -> list[dict[str, Any]]:
    """With a copy of ours in that folder, whose base and components it names by ../../"""
    shutil.copytree(DEPLOY, folder / "deploy")
    mine = folder / "deploy" / "kustomize" / "overlays" / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return kustomized(mine)
