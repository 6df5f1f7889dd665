"""The log on standard error, in the launcher and its processes: one event a line, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

from kombu_green.config.settings import LoggingSettings
from kombu_green.printable import printable

__all__ = ["HAS_STACKS", "JSONFormatter", "TextFormatter", "configure"]

#: an attribute, true for a record whose message has lines: a sentence and stacks below it
HAS_STACKS: Final = "has_stacks"
#: the attributes that every record has; all others came in ``extra`` and are written to the JSON line
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", HAS_STACKS}


class TextFormatter(logging.Formatter):
    """``2031-05-06T07:08:09.123+0200 INFO 4711 kombu_green.launcher: process 1 is ready``; the number is the pid.

    Characters that are not printable are escaped, newlines too.  The lines of a traceback, and those of a record with
    :data:`HAS_STACKS`, are indented.  So nobody who publishes a message can write a line that looks like a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        lines = message.split("\n") if getattr(record, HAS_STACKS, False) else [message]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        if record.stack_info:
            lines += self.formatStack(record.stack_info).split("\n")
        head = f"{_timestamp(record.created)} {record.levelname} {record.process} {record.name}: "
        return head + "\n  ".join(map(printable, lines))


class JSONFormatter(logging.Formatter):
    """One object a line: ``time level pid logger message``, the fields of ``extra``, and ``exception`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def _timestamp(seconds: float) -> str:
    """Local time with milliseconds and offset: RFC 3339 without the colon in the offset."""
    local = time.localtime(seconds)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{int(seconds % 1 * 1000):03d}%z", local)


def configure(settings: LoggingSettings) -> None:
    """Log to standard error only, with the level and format of *settings*."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
