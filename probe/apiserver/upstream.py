"""kubernetes_asyncio without its models: the one place that imports it.

Any import from the library runs its top packages, which import some 770 model modules: 38 MiB
and 0.4 s per process, on every node (measured with 36.1). We read JSON ourselves and need its
authentication and TLS only, so the packages stand empty while those modules are imported.
"""

import importlib
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

_TOP = "kubernetes_asyncio"
_EMPTIED = (_TOP, f"{_TOP}.client", f"{_TOP}.client.models")


def _load() -> tuple[Any, Any, Any, Any, Any]:
    """The library's parts; its ordinary import if it no longer is built as we know it."""
    if _TOP in sys.modules:
        return _parts()
    try:
        _empty_packages()
        return _parts()
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == _TOP]:
            del sys.modules[name]
        return _parts()
    finally:
        for name in _EMPTIED:
            if not hasattr(sys.modules.get(name), "__file__"):
                sys.modules.pop(name, None)


def _empty_packages() -> None:
    """Packages with a path but no code, and in `client` the two names that others import from."""
    spec = importlib.util.find_spec(_TOP)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{_TOP} is not installed")
    root = spec.submodule_search_locations[0]
    for name in _EMPTIED:
        package: Any = ModuleType(name)
        package.__path__ = [root + name.removeprefix(_TOP).replace(".", "/")]
        sys.modules[name] = package
    client: Any = sys.modules[f"{_TOP}.client"]
    client.Configuration = _part("client.configuration", "Configuration")
    client.ApiClient = _part("client.api_client", "ApiClient")


def _parts() -> tuple[Any, Any, Any, Any, Any]:
    return (
        _part("client.configuration", "Configuration"),
        _part("client.rest", "RESTClientObject"),
        _part("config.config_exception", "ConfigException"),
        _part("config.incluster_config", "InClusterConfigLoader"),
        _part("config.kube_config", "KubeConfigLoader"),
    )


def _part(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{_TOP}.{module}"), name)


Configuration, RESTClientObject, ConfigException, InClusterConfigLoader, KubeConfigLoader = _load()

# It logs the errors that it raises; we tell each once, in our own words.
logging.getLogger(f"{_TOP}.config.kube_config").setLevel(logging.CRITICAL)
