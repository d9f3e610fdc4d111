"""How the daemon's log looks: JSON for machines, lines for a person."""

import io
import json
import logging
import sys

import pytest

from probe.cli.logs import JsonFormatter, SaidOnce, configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO, form: str, level: str = "info") -> str:
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "stderr", stream)
    try:
        configure(level, form)
        logging.getLogger("probe.daemon").info("dialing as %s", "a", extra={"port": 9797})
    finally:
        patch.undo()
    return stream.getvalue()


def test_a_line_is_one_json_object_with_what_extra_added() -> None:
    (line,) = written(io.StringIO(), "auto").splitlines()

    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "logger": "probe.daemon",
        "message": "dialing as a",
        "port": 9797,
    }


def test_a_person_at_a_terminal_gets_lines() -> None:
    assert written(Terminal(), "auto").endswith(" INFO    dialing as a\n")


def test_the_form_can_be_said() -> None:
    assert json.loads(written(Terminal(), "json"))["port"] == 9797
    assert written(io.StringIO(), "text").endswith(" INFO    dialing as a\n")


def test_what_is_below_the_level_is_not_written() -> None:
    assert written(io.StringIO(), "json", "warning") == ""


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("probe", logging.ERROR, "f", 1, "bad", None, sys.exc_info())

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line)["error"].endswith("ValueError: two\nlines")


def test_what_every_watch_has_to_say_is_said_once_and_others_are_not_silenced() -> None:
    said = SaidOnce("probe.reflector")

    def passes(name: str, message: str, at: float) -> bool:
        fields = {"name": name, "msg": message, "created": at}
        return said.filter(logging.makeLogRecord(fields))

    assert passes("probe.reflector", "the API server is away", 0.0)
    assert not passes("probe.reflector", "the API server is away", 59.0)
    assert passes("probe.reflector", "services are watched again", 59.0)
    assert passes("probe.reflector", "the API server is away", 120.0)
    assert passes("probe.daemon", "stopped", 120.0)
    assert passes("probe.daemon", "stopped", 120.0)
