"""`--watch`: the same check again and again; redrawn on a terminal, appended elsewhere."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Never

from probe.absent import NotFound
from probe.cli.asking import Answer, Question, ask
from probe.cli.failing import printing
from probe.cli.output import CheckOutput
from probe.cli.progress import Progress
from probe.cli.showing import Showing
from probe.core.moments import rfc3339
from probe.reflector import ApiTrouble, Connection
from probe.settings import Settings

PAUSE = 5.0
"""Seconds between the end of a check and the next: each dials everything. Chosen."""


async def watch(
    connection: Connection, settings: Settings, question: Question, showing: Showing
) -> Never:
    """Checks until it is cancelled. Raises what the first check raises; later ones say it."""
    picture = _Picture(showing) if _redraws(showing.output) else _Lines(showing)
    first = True
    while True:
        try:
            with Progress() as tell:
                answer = await ask(connection, settings, question, tell)
        except (ApiTrouble, NotFound) as failed:
            if first:
                raise
            picture.trouble(str(failed))
        else:
            first = False
            with printing():
                picture.show(answer)
        await asyncio.sleep(PAUSE)


def _redraws(output: CheckOutput) -> bool:
    return output is not CheckOutput.JSON and sys.stdout.isatty()


class _Picture:
    """A screen that each answer is drawn over."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._drawn = ""

    def show(self, answer: Answer) -> None:
        self._drawn = self._showing.text(answer)
        self._draw(f"checked {rfc3339(datetime.now(UTC))}, every {PAUSE:g} s; Ctrl-C ends it")

    def trouble(self, said: str) -> None:
        """Leaves the last picture standing, and says why there is no newer one."""
        self._draw(said)

    def _draw(self, foot: str) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        lines = self._drawn.rstrip("\n").splitlines()
        kept = [*lines[: size.lines - 2], foot[: size.columns - 1]]
        # Over what stands there, so that nothing flickers.
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in kept) + "\x1b[J")
        sys.stdout.flush()


class _Lines:
    """A line for each Service, first of all and then of those that have changed; or with -o json
    each answer as one line."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._told: dict[str, tuple[str, str]] = {}

    def show(self, answer: Answer) -> None:
        if self._showing.output is CheckOutput.JSON:
            print(json.dumps(self._showing.document(answer)), flush=True)
            return
        time = rfc3339(datetime.now(UTC))
        for document in answer.documents:
            name = f"{document['service']['namespace']}/{document['service']['name']}"
            said = document["verdict"], document["summary"]
            if self._told.get(name) != said:
                self._told[name] = said
                print(time, name, *said, sep="  ", flush=True)
        sys.stdout.flush()

    def trouble(self, said: str) -> None:
        print(f"probe: {said}", file=sys.stderr)
