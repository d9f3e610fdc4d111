"""The baseline: findings that were there before, which a run leaves out.

A finding is known again by its rule, object and message and the file it is in, not by its line:
lines move. Of several that are alike as many are left out as there were.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from probe.lint.findings import Finding

VERSION = 1


class BadBaseline(Exception):
    """The file cannot be read, or is no baseline. A sentence for a person."""


class Baseline:
    """What a file of `--write-baseline` says."""

    def __init__(self, path: Path) -> None:
        """Raises BadBaseline."""
        try:
            found = json.loads(path.read_bytes())
            fingerprints = [entry["fingerprint"] for entry in found["findings"]]
        except OSError as wrong:
            raise BadBaseline(f"{path}: {wrong.strerror}") from wrong
        except (ValueError, TypeError, LookupError, RecursionError) as wrong:
            message = f"{path} is no baseline: write one with --write-baseline {path}"
            raise BadBaseline(message) from wrong
        self._folder = path.parent
        self._known = Counter(map(str, fingerprints))

    def new(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that it does not hold."""
        left, found = Counter(self._known), []
        for finding in findings:
            mark = fingerprint(finding, self._folder)
            if left[mark]:
                left[mark] -= 1
            else:
                found.append(finding)
        return found


def write(path: Path, findings: Iterable[Finding]) -> int:
    """Makes these findings the baseline; how many they are. Raises OSError."""
    entries: list[dict[str, Any]] = [
        {
            "fingerprint": fingerprint(each, path.parent),
            "rule": each.rule.id,
            "file": _file(each, path.parent),
            "object": each.object,
            "message": each.message,
        }
        for each in findings
    ]
    path.write_text(json.dumps({"version": VERSION, "findings": entries}, indent=2) + "\n")
    return len(entries)


def fingerprint(finding: Finding, folder: Path) -> str:
    """The same for the same fault, from wherever it is looked for. `folder` is the baseline's."""
    said = (finding.rule.id, _file(finding, folder), finding.object, finding.message)
    return sha256("\0".join(said).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _file(finding: Finding, folder: Path) -> str:
    """Its file as the baseline's folder has it."""
    return os.path.relpath(finding.source, folder) if finding.line else finding.source
