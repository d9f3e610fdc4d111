"""The image's root file system: an interpreter, its standard library, the libraries that they link,
and edgeprobe with what it needs; no shell, no package manager.

`python rootfs.py FOLDER`, by the Python of the virtual environment that edgeprobe is installed in.
Everything is where it is outside, compiled, since nobody may write there.
"""

import compileall
import importlib.metadata
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

DISTRIBUTION = "edgeprobe"

UNUSED = (
    *("__pycache__", "config-*", "dist-packages", "ensurepip", "site-packages"),
    *("_ctypes_test*", "_test*", "_xx*", "test", "xx*"),
    *("_tkinter*", "idlelib", "tkinter", "turtle*"),
    *("_curses*", "curses", "lib2to3", "pydoc_data", "readline*"),
    *("_dbm*", "_gdbm*", "_sqlite3*", "dbm", "sqlite3"),
)
"""Parts of the standard library, by their names there: what installs, tests, windows, a prompt's
comfort, databases."""

LEFT_OUT = re.compile(r"^\.\.|\.pyc$|_test\.py$|^kubernetes_asyncio/client/(api|models)/")
"""Files of distributions: scripts, what is compiled anew, tests, and 47 MB that probe is careful
never to import (probe/apiserver/upstream.py)."""

FILES = {
    "etc/passwd": "nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": "nogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
"""What the C library looks up."""


def main(folder: Path) -> None:
    lay_out(folder, DISTRIBUTION)
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        stripdir=str(folder),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        sys.exit("something could not be compiled")


def lay_out(folder: Path, *distributions: str) -> None:
    """All but what is compiled. Raises PackageNotFoundError."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, _in(folder, stdlib), ignore=shutil.ignore_patterns(*UNUSED))
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    _copy(folder, [python, *installed(*distributions), *environment()])
    scripts = _in(folder, Path(sys.prefix, "bin"))
    scripts.mkdir(exist_ok=True)
    for name in ("python", "python3"):  # a script names either
        (scripts / name).symlink_to(python)
    _copy(folder, libraries(path for path in folder.rglob("*") if _links(path)))
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "tmp").chmod(0o1777)


def environment() -> Iterator[Path]:
    """The virtual environment's own."""
    yield Path(sys.prefix, "pyvenv.cfg")
    if (script := Path(sys.prefix, "bin", "probe")).exists():
        yield script


def installed(*names: str) -> Iterator[Path]:
    """The files of these distributions and of all that they require."""
    known, todo = set[str](), [*names]
    while todo:
        if (name := todo.pop()) in known:
            continue
        known.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name in names:
                raise
            continue  # for another system
        wanted = (each for each in found.requires or () if "extra ==" not in each)
        todo += (re.split(r"[^\w.-]", each)[0] for each in wanted)
        for file in found.files or ():
            path = Path(str(file.locate()))
            if path.exists() and not LEFT_OUT.search(str(file)):
                yield path


def libraries(files: Iterable[Path]) -> Iterator[Path]:
    """What these link, and what loads them, by the names under which they are looked for."""
    said = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        if "not found" in line:
            sys.exit(f"a library is missing: {line.strip()}")
        if found := re.match(r"\s+(?:\S+ => )?(/\S+) \(0x", line):
            yield Path(os.path.normpath(found[1]))


def _links(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _copy(folder: Path, files: Iterable[Path]) -> None:
    """Follows links: what is one outside is a file in there."""
    for path in files:
        target = _in(folder, path)
        if not path.is_relative_to(folder) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def _in(folder: Path, path: Path) -> Path:
    return folder / path.relative_to("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
