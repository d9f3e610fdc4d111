"""How the daemon's log looks: lines for a person at a terminal, JSON for everything else."""

import json
import logging
import sys
from datetime import UTC, datetime

SAID_ONCE_SECONDS = 60.0
"""As long as the longest pause between two attempts of one watch, twice: all have said it."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever `extra` added."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class SaidOnce(logging.Filter):
    """Lets a logger's same sentence through once in SAID_ONCE_SECONDS: when the API server goes,
    every watch of it has the same to say."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True
        sentence = record.getMessage()
        fresh = {s: at for s, at in self._said.items() if record.created - at < SAID_ONCE_SECONDS}
        self._said = {sentence: record.created, **fresh}
        return sentence not in fresh


def configure(level: str, form: str) -> None:
    """Sends the log to stderr; `form` is auto, text or json."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json" or (form == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        )
    handler.addFilter(SaidOnce("probe.reflector"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
