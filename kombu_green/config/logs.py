"""What is said on standard error: one line an event, for people or as JSON, alike in the launcher and its processes."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

from kombu_green.config.settings import LoggingSettings

__all__ = ["JSONFormatter", "TextFormatter", "configure"]

#: what every record has; all else came in ``extra`` and is part of the JSON line
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class TextFormatter(logging.Formatter):
    """``2031-05-06T07:08:09.123+0200 INFO 4711 kombu_green.launcher: process 1 is ready``; the number is the pid."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  logging's name
        return _stamp(record.created)


class JSONFormatter(logging.Formatter):
    """One object a line: ``time level pid logger message``, what came in ``extra``, ``exception`` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def _stamp(seconds: float) -> str:
    """Local time with milliseconds and offset, as RFC 3339 wants it but for the colon in the offset."""
    local = time.localtime(seconds)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{int(seconds % 1 * 1000):03d}%z", local)


def configure(settings: LoggingSettings) -> None:
    """Make standard error the root logger's only handler, with the level and format of *settings*."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
