"""kubernetes_asyncio is imported in part, and nobody else notices."""

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, environment

OTHERS = """
import ssl
before = ssl.SSLContext.set_default_verify_paths
import probe.apiserver.upstream
assert ssl.SSLContext.set_default_verify_paths is before
import urllib3, kubernetes_asyncio.client
urllib3.PoolManager, kubernetes_asyncio.client.CoreV1Api
"""

REBUILT = {
    "__init__.py": "import kubernetes_asyncio.client",
    "client/__init__.py": "shared = 1",
    "client/configuration.py": "class Configuration: pass",
    "client/rest.py": """
from kubernetes_asyncio.client import shared
from urllib3 import PoolManager
class RESTClientObject: pass
""",
    "config/__init__.py": "",
    "config/config_exception.py": "class ConfigException(Exception): pass",
    "config/incluster_config.py": "class InClusterConfigLoader: pass",
    "config/kube_config.py": "class KubeConfigLoader: pass",
}
"""A library whose modules need what its packages do as they are imported."""


def python(code: str, *folders: Path) -> str:
    """What is wrong with that code, run with the folders before all others."""
    path = ":".join(map(str, (*folders, ROOT)))
    command = (sys.executable, "-c", code)
    found = subprocess.run(
        command, env=environment(PYTHONPATH=path), capture_output=True, text=True, check=False
    )
    return found.stderr


def test_others_import_the_whole_library_afterwards() -> None:
    assert python(OTHERS) == ""


def test_a_library_built_otherwise_is_imported_as_it_is(tmp_path: Path) -> None:
    for name, text in REBUILT.items():
        file = tmp_path / "kubernetes_asyncio" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    code = (
        "from probe.apiserver import upstream; upstream.RESTClientObject.__module__.index('rest')"
    )
    assert python(code, tmp_path) == ""
