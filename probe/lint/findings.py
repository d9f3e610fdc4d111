"""What a rule says of a manifest: its finding, with the place, and the edit that would mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe.lint.documents import Document


class Severity(StrEnum):
    """How sure and how bad: an error fails the run, a warning does with `--fail-on warning`."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the text `old`, which stands at that line and column (both 1-based), by `new`."""

    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one object.

    `source` is the file, `-` for standard input or `cluster`; `line` and `column` are 1-based, and
    0 where there is no text. `object` is `KIND NAMESPACE/NAME`, or empty where no object was read.
    """

    rule: "Rule"
    severity: Severity
    source: str
    line: int
    column: int
    object: str
    message: str
    fix: str = ""
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What is looked for. `title` is its one line, `why` what goes wrong if it is ignored, `fix`
    what to do about it in general."""

    id: str
    severity: Severity
    title: str
    why: str
    fix: str

    @property
    def page(self) -> str:
        """Where its documentation stands, in the project's sources."""
        return f"docs/lint.md#{self.id}"

    def at(
        self,
        document: "Document",
        path: Sequence[str | int],
        message: str,
        *,
        fix: str = "",
        new: str = "",
        text: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding about the value at that path of the document.

        `text` is a piece of the value, to point at it inside of a longer one. `new` is what the
        value (or that piece) is to be rewritten to by `--fix`: give it only where nobody could
        want anything else.
        """
        place = document.position(path, text)
        old = (text or document.written(path)) if new else ""
        return Finding(
            rule=self,
            severity=severity or self.severity,
            source=document.source,
            line=place.line,
            column=place.column,
            object=document.object,
            message=message,
            fix=fix or self.fix,
            edit=Edit(place.line, place.column, old, new) if old else None,
        )
