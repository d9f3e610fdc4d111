"""The answer of a check in the form that was asked for, on stdout."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from probe.check import Selection
from probe.cli.asking import Answer, Json
from probe.cli.output import CheckOutput


@dataclass(frozen=True, slots=True)
class Showing:
    """How answers about this selection are shown."""

    output: CheckOutput
    selection: Selection

    def once(self, answer: Answer, began: datetime) -> None:
        """Prints the answer of a check that began then. May raise OSError."""
        match self.output:
            case CheckOutput.JSON:
                print(json.dumps(self.document(answer), indent=2))
            case CheckOutput.JUNIT:
                from probe.cli.junit import junit

                seconds = (datetime.now(UTC) - began).total_seconds()
                print(junit(answer.documents, began, seconds, answer.silent))
            case CheckOutput.TABLE | CheckOutput.WIDE:
                print(self.text(answer), end="")

    def document(self, answer: Answer) -> Json:
        return answer.document if self.selection.name is not None else answer.all_documents

    def text(self, answer: Answer) -> str:
        """The screen, in colour if it goes to a terminal."""
        from probe.cli import screen
        from probe.cli.overview import overview
        from probe.cli.tables import console

        out, now = console(), datetime.now(UTC)
        wide = self.output is CheckOutput.WIDE
        with out.capture() as captured:
            if self.selection.name is not None or wide:
                for count, document in enumerate(answer.documents):
                    if count:
                        out.print("\n")
                    screen.service(out, document, now, wide=wide)
            elif answer.documents:
                overview(out, answer.documents, now, len(answer.silent))
            if answer.history is not None:
                screen.history(out, answer.history, now)
        # Of what this output cannot show nothing may hang.
        return captured.get().encode(out.encoding, "replace").decode(out.encoding)

    def nothing(self) -> None:
        """Says on stderr that no Service was there to be checked."""
        where, labels = self.selection.namespace, self.selection.selector
        place = f"namespace {where}" if where else "any namespace"
        chosen = f" with labels {labels}" if labels else ""
        print(f"probe: no Services{chosen} in {place}", file=sys.stderr)
