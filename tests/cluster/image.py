"""Container images without a registry and without docker: files of this machine in one archive.

They hold Python from Debian's packages, the locked dependencies as they are installed beside the
tests, and this checkout, laid out in /opt/probe as the Dockerfile does it.
"""

import compileall
import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.processes import ROOT

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Of the Python that runs the tests, for which the dependencies beside it are built."""

PACKAGES = (f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib")
"""Debian's names of that Python and its standard library."""

PYTHON = f"/usr/bin/python{VERSION}"
SLEEP = "/usr/bin/sleep"

HOME = "/opt/probe"
SITE = f"{HOME}/lib/python{VERSION}/site-packages"

PAUSE = "probe.test/pause:1"
"""Holds a pod's namespaces while its containers come and go."""

LISTENER = "probe.test/listener:latest"
"""listener.py, by the name that it has with the kubelet stand-in."""


def shipped() -> str:
    """The name that deploy/probe.yaml gives its container's image."""
    documents = yaml.safe_load_all((ROOT / "deploy" / "probe.yaml").read_text())
    (spec,) = (
        each["spec"]["template"]["spec"] for each in documents if each["kind"] == "DaemonSet"
    )
    image: str = spec["containers"][0]["image"]
    return image


def possible() -> bool:
    """Whether the distribution's Python is of the version that is needed."""
    return Path("/usr/bin/python3").resolve().name == f"python{VERSION}"


def missing() -> list[str]:
    """Those of PACKAGES that are not installed."""
    if shutil.which("dpkg-query") is None:
        return [*PACKAGES]
    return [
        name
        for name in PACKAGES
        if _said("dpkg-query", "-W", "-f${db:Status-Status}", name) != "installed"
    ]


def build(archive: Path) -> None:
    """Writes an archive with every image, in the format of `docker save`. Takes 5 s, and the next
    time 1 s: what does not change with the checkout is kept in a cache."""
    program = archive.with_name("probe.tar")
    _write_probe(program)
    base = _cached_base()
    layers = {layer: _digest(layer) for layer in (base, program)}
    listener = [f"{HOME}/bin/python", "-I", f"{HOME}/listener.py"]
    with tarfile.open(archive, "w") as tar:
        for layer, digest in layers.items():
            tar.add(layer, f"{digest}.tar")
        manifest = [
            _image(tar, PAUSE, [layers[base]], [SLEEP, "infinity"]),
            _image(tar, LISTENER, [*layers.values()], listener),
            _image(tar, shipped(), [*layers.values()], [f"{HOME}/bin/probe"], ["run"]),
        ]
        _add(tar, "manifest.json", json.dumps(manifest))


def _image(
    tar: tarfile.TarFile,
    name: str,
    layers: list[str],
    entrypoint: list[str],
    command: Iterable[str] = (),
) -> dict[str, Any]:
    """Its entry in the manifest; `layers` by their digests."""
    config = {
        "architecture": _said("dpkg", "--print-architecture"),
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Cmd": [*command], "User": "65534:65534"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layers]},
    }
    file = f"{hashlib.sha256(name.encode()).hexdigest()}.json"
    _add(tar, file, json.dumps(config))
    # As containerd knows it: a name without a registry is one of Docker Hub's.
    full = name if "/" in name else f"docker.io/library/{name}"
    return {"Config": file, "RepoTags": [full], "Layers": [f"{digest}.tar" for digest in layers]}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached_base() -> Path:
    """The layer below, made anew when a package, a dependency or this file is another one."""
    versions = [_said("dpkg-query", "-W", *PACKAGES)]
    versions += [f"{found.name} {found.version}" for found in _dependencies()]
    versions += [sys.version, Path(__file__).read_text()]
    key = hashlib.sha256("\n".join(versions).encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edgeprobe-tests"
    kept = cache / f"base-{key}.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _write_base(fresh := Path(folder, kept.name))
            fresh.replace(kept)
        for older in cache.glob("base-*.tar"):
            if older != kept:
                older.unlink(missing_ok=True)
    return kept


def _write_base(path: Path) -> None:
    """Python, its dependencies, and the libraries that all of them link."""
    files = {file: file for package in PACKAGES for file in _packaged(package)}
    files |= {SLEEP: SLEEP}
    files |= {name: file for found in _dependencies() for name, file in _installed(found)}
    files |= dict(_libraries(file for file in files.values() if _links(file)))
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "lib", "lib64"):
            _link(tar, f"/{name}", f"usr/{name}")
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        for name, file in files.items():
            tar.add(file, name.lstrip("/"), filter=_anybody)


def _write_probe(path: Path) -> None:
    """This checkout's package, compiled, since the container may not write; and the listener."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path, "w") as tar:
        there = Path(folder, "probe")
        shutil.copytree(ROOT / "probe", there, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(there, quiet=2, stripdir=folder, prependdir=SITE)
        tar.add(there, f"{SITE}/probe".lstrip("/"), filter=_anybody)
        tar.add(
            Path(__file__).with_name("listener.py"),
            f"{HOME}/listener.py".lstrip("/"),
            filter=_anybody,
        )
        _add(tar, f"{HOME}/pyvenv.cfg", f"home = /usr/bin\nversion = {VERSION}\n")
        _link(tar, f"{HOME}/bin/python", PYTHON)
        script = f"#!{HOME}/bin/python\nfrom probe.cli.app import main\nmain()\n"
        _add(tar, f"{HOME}/bin/probe", script, 0o755)


def _packaged(package: str) -> Iterator[str]:
    """The files of one of Debian's packages, and the .pyc files that its installation made."""
    for line in _said("dpkg", "-L", package).splitlines():
        path = Path(line)
        if line.startswith("/usr/share/") or (path.is_dir() and not path.is_symlink()):
            continue
        yield line
        yield from map(str, path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))


def _dependencies() -> Iterator[importlib.metadata.Distribution]:
    """What requirements.lock names, as far as it is for this system."""
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield importlib.metadata.distribution(name)


def _installed(found: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    """Its files: where in the image, and where here. Scripts beside site-packages are left out."""
    for file in found.files or ():
        if ".." not in file.parts and (path := Path(str(file.locate()))).exists():
            yield f"{SITE}/{file}", str(path)


def _links(file: str) -> bool:
    with open(file, "rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _libraries(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Where in the image, and where here. ldd(1) names a library by where the loader finds it."""
    for line in _said("ldd", *files).splitlines():
        if found := re.match(r"\s+(?:\S+ => )?(/\S+) \(0x", line):
            library = Path(found[1])
            yield str(library.parent.resolve() / library.name), str(library.resolve())


def _anybody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's, and anybody may read it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode |= 0o555 if member.isdir() or member.mode & 0o100 else 0o444
    return member


def _add(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.size, member.mode = len(text.encode()), mode
    tar.addfile(member, io.BytesIO(text.encode()))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


def _said(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
