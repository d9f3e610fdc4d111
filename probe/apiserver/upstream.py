"""kubernetes_asyncio without its models, on aiohttp without its certificates: the one place that
imports the library.

Any import from the library runs its top packages, which import some 770 model modules: 42 MiB
and 0.4 s per process, on every node (measured with 36.1). We read JSON ourselves and need its
authentication and TLS only, so the packages stand empty while those modules are imported.

aiohttp loads the system's certificates twice as it is imported, another 2.5 MiB and 50 ms, for
connections that bring no TLS context; ours do, and trust the kubeconfig's authority.
"""

import importlib
import importlib.util
import logging
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = [
    "ConfigException",
    "Configuration",
    "InClusterConfigLoader",
    "KubeConfigLoader",
    "RESTClientObject",
    "aiohttp",
]

_TOP = "kubernetes_asyncio"
_EMPTIED = (_TOP, f"{_TOP}.client", f"{_TOP}.client.models")


@contextmanager
def _no_certificates() -> Iterator[None]:
    """TLS contexts made here trust nobody, so that whoever used one would fail, not be deceived."""
    inherited = "set_default_verify_paths"
    setattr(ssl.SSLContext, inherited, lambda context: None)
    try:
        yield
    finally:
        delattr(ssl.SSLContext, inherited)


def _load() -> tuple[Any, Any, Any, Any, Any]:
    """The library's parts; its ordinary import if it no longer is built as we know it."""
    if _TOP in sys.modules:
        return _parts()
    try:
        with _standing_empty():
            return _parts()
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == _TOP]:
            del sys.modules[name]
        return _parts()


@contextmanager
def _standing_empty() -> Iterator[None]:
    """Packages with a path but no code, and nothing in them but what others import from `client`.

    Of ApiClient they only need that it exists, and of urllib3 that it can be imported: both are
    for requests that we make ourselves, and bring another 4 MiB.
    """
    spec = importlib.util.find_spec(_TOP)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{_TOP} is not installed")
    root = spec.submodule_search_locations[0]
    empty = {name: ModuleType(name) for name in (*_EMPTIED, "urllib3") if name not in sys.modules}
    for name in _EMPTIED:
        empty[name].__path__ = [root + name.removeprefix(_TOP).replace(".", "/")]
    sys.modules.update(empty)
    try:
        client: Any = empty[f"{_TOP}.client"]
        client.Configuration = _part("client.configuration", "Configuration")
        client.ApiClient = object
        yield
    finally:
        for name in empty:
            sys.modules.pop(name, None)


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


with _no_certificates():
    import aiohttp

Configuration, RESTClientObject, ConfigException, InClusterConfigLoader, KubeConfigLoader = _load()

# It logs the errors that it raises; we tell each once, in our own words.
logging.getLogger(f"{_TOP}.config.kube_config").setLevel(logging.CRITICAL)
