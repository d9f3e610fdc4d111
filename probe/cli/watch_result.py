"""What a watch has seen, at its end or when somebody stopped it: as text, JSON, JUnit, and as an
exit code."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from rich.text import Text

from probe.cli.app import INTERRUPTED
from probe.cli.failing import COULD_NOT_TELL
from probe.cli.junit import testsuite, xml
from probe.cli.tables import command, console, sentence
from probe.cli.watch_view import sparkline
from probe.core import rollout_reports
from probe.core.course import LONGEST_QUIET, Course, failures
from probe.watch.session import Ending, Scene
from probe.watch.subject import Subject

Json = dict[str, Any]

FAILED = 1
"""Exit code when dials failed, or the rollout did."""


@dataclass(slots=True)
class Result:
    """`scene` is None before anything was found; `ending` is STOPPED until the watch has ended by
    itself."""

    subject: Subject
    scene: Scene | None = None
    ending: Ending = Ending.STOPPED
    command_code: int | None = None

    @property
    def record(self) -> Json | None:
        return self.scene.course.record if self.scene is not None else None

    def exit_code(self, max_failed: int) -> int:
        """The first that applies: stopped; the command failed and began nothing; no rollout was
        seen; it cost its callers something or did not end well; nothing could be dialed; the
        command's own."""
        record = self.record
        if self.ending is Ending.STOPPED:
            return INTERRUPTED
        if self.ending is Ending.COMMAND_FAILED and self.command_code:
            return self.command_code
        if record is None:
            return COULD_NOT_TELL
        if record["outcome"] != "complete" or failures(record) > max_failed:
            return FAILED
        if not record["dials"]:
            return COULD_NOT_TELL
        return self.command_code or 0

    def json(self) -> None:
        """Prints the record, with what could be seen before it."""
        print(json.dumps(self._document(), indent=2))

    def _document(self) -> Json:
        """Without a rollout a record of the same shape as far as there is anything to tell."""
        scene = self.scene
        found = self.record or {
            "workload": str(self.subject),
            "services": list(scene.services) if scene else [],
            "started": None,
            "ended": None,
            "outcome": "not seen",
            "dials": 0,
            "failed": {},
            "removal_lag_seconds": None,
            "recommended_drain_seconds": None,
            "advice": [],
            "nodes": [],
        }
        notes = scene.notes if scene else ()
        return {**found, "preflight": [note._asdict() for note in notes]}

    def junit(self, began: datetime, max_failed: int) -> None:
        """Prints two testcases: the workload rolls out, and its callers notice nothing; and a third
        if a command ran to its end: that it succeeds. A watch that was stopped proves nothing: what
        had not failed by then is an error."""
        seconds = (datetime.now(UTC) - began).total_seconds()
        cases = list(self._cases(max_failed))
        for case in cases:
            case.set("classname", f"{self.subject.namespace}.{self.subject.name}")
        print(testsuite("probe watch", cases, began, seconds))

    def _cases(self, max_failed: int) -> Iterator[Element]:
        record = self.record
        seconds = f"{(record or {}).get('seconds') or 0:.3f}"
        rolls = Element("testcase", name=f"{self.subject.kind} rolls out", time=seconds)
        dials = Element("testcase", name="callers notice nothing", time="0")
        if record is None:
            for case in (rolls, dials):
                SubElement(case, "skipped", message=xml(self._conclusion(max_failed)))
        else:
            said, outcome = "\n".join(rollout_reports.lines(record)), record["outcome"]
            if outcome not in ("complete", "running"):
                failure = SubElement(rolls, "failure", message=xml(outcome), type=outcome)
                failure.text = xml(said)
            if failures(record) > max_failed:
                message = xml(self._conclusion(max_failed))
                SubElement(dials, "failure", message=message, type="failed dials").text = xml(said)
            elif not record["dials"]:
                SubElement(dials, "skipped", message=xml(self._conclusion(max_failed)))
        if self.ending is Ending.STOPPED:
            for case in (rolls, dials):
                self._stopped(case)
        yield from (rolls, dials)
        if self.command_code is not None:
            yield self._command(self.command_code)

    def _stopped(self, case: Element) -> None:
        if case.find("failure") is None:
            case[:] = []
            SubElement(case, "error", message=xml(self._conclusion(0)), type="stopped")

    def _command(self, code: int) -> Element:
        case = Element("testcase", name="the command succeeds", time="0")
        if code:
            message = f"the command failed with code {code}"
            SubElement(case, "error", message=message, type="command failed")
        return case

    def table(self, max_failed: int) -> None:
        """Prints the report, and in a last line what it comes to."""
        out, record, scene = console(), self.record, self.scene
        with out.capture() as captured:
            if record is not None and scene is not None:
                told, advice = rollout_reports.lines(record), record["advice"]
                for line in told[: len(told) - len(advice)]:
                    sentence(out, Text(line))
                if failures(record):
                    command(out, Text.assemble("failed  ", sparkline(scene.course.samples)))
                for line in advice:
                    command(out, Text(line, "cyan"))
            if scene is not None and self.ending is Ending.ROLLED and scene.course.unconfirmed:
                sentence(out, Text(_unexplained(scene.course), "yellow"))
            good = self.exit_code(max_failed) == 0
            mark, style = ("✓", "green") if good else ("✗", "bold red")
            sentence(out, Text(f"{mark} {self._conclusion(max_failed)}", style))
        # Of what this output cannot show nothing may hang.
        print(captured.get().encode(out.encoding, "replace").decode(out.encoding), end="")

    def _conclusion(self, max_failed: int) -> str:
        record = self.record
        match self.ending:
            case Ending.STOPPED if record is None:
                return f"stopped before a rollout of {self.subject} was seen"
            case Ending.STOPPED:
                return "stopped: this is what was seen so far"
            case Ending.COMMAND_FAILED:
                return f"the command failed with code {self.command_code}, and nothing rolled out"
            case Ending.NOT_SEEN:
                return f"no rollout of {self.subject} was seen before --timeout"
            case Ending.ROLLED:
                assert record is not None
                return _cost(record, max_failed, self.command_code)


def _cost(record: Json, max_failed: int, command_code: int | None) -> str:
    """What the rollout comes to."""
    failed, dials = failures(record), record["dials"]
    if record["outcome"] != "complete":
        return f"the rollout did not complete: {record['outcome']}"
    if failed > max_failed:
        allowed = f", {max_failed} may" if max_failed else ""
        return f"{failed} of {dials} dials failed{allowed}"
    if not dials:
        return "nothing could be dialed that did not fail before: nobody can tell what it cost"
    allowed = f"{failed} of {dials} dials failed, {max_failed} may"
    if command_code:
        noticed = allowed if failed else "no caller noticed"
        return f"{noticed}, but the command failed with code {command_code}"
    return allowed if failed else "no dial failed"


def _unexplained(course: Course) -> str:
    """Why the watch has ended before all was known."""
    return (
        f"{course.unconfirmed} failed dials were not explained within {LONGEST_QUIET:.0f} s of the "
        "end: old pods may be sent to for longer than is told here"
    )
