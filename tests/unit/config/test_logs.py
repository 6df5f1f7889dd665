"""The log: one line an event, as text or JSON."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from kombu_green.config.logs import JSONFormatter, TextFormatter

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}"


def record(**extra: object) -> logging.LogRecord:
    found = logging.makeLogRecord(
        {"name": "a.b", "levelno": 20, "levelname": "INFO", "msg": "%s is here", "args": ("x",)}
    )
    vars(found).update(extra)
    return found


def test_text() -> None:
    line = TextFormatter().format(record(event="arrived"))
    assert re.fullmatch(STAMP + r" INFO \d+ a\.b: x is here", line)


def test_foreign_text_cannot_begin_a_line_of_its_own() -> None:
    forged = "x\n2031-05-06T07:08:09.123+0200 INFO 1 kombu_green.launcher: drained\x1b[2K"
    line = TextFormatter().format(record(args=(forged,)))
    assert line.endswith(r"x\n2031-05-06T07:08:09.123+0200 INFO 1 kombu_green.launcher: drained\x1b[2K is here")
    assert line.isprintable()


def test_the_lines_of_tracebacks_and_stacks_are_indented() -> None:
    try:
        raise ValueError("a\nb\x1bc")
    except ValueError:
        lines = TextFormatter().format(record(exc_info=sys.exc_info())).split("\n")
    assert lines[1] == "  Traceback (most recent call last):"
    assert lines[-2:] == ["  ValueError: a", r"  b\x1bc"]
    stacked = record(args=("a\n  frame\x1b",), has_stacks=True)
    assert TextFormatter().format(stacked).split("\n")[1:] == [r"    frame\x1b is here"]
    assert "has_stacks" not in json.loads(JSONFormatter().format(stacked))


def test_json_has_what_came_in_extra() -> None:
    said = json.loads(JSONFormatter().format(record(event="arrived", seconds=1.5, odd={1, 2})))
    assert re.fullmatch(STAMP, said.pop("time"))
    assert isinstance(said.pop("pid"), int)
    assert said == {
        "level": "info",
        "logger": "a.b",
        "message": "x is here",
        "event": "arrived",
        "seconds": 1.5,
        "odd": "{1, 2}",
    }


def test_json_has_the_traceback_in_its_line() -> None:
    with pytest.raises(ZeroDivisionError):
        1 / 0  # noqa: B018  so that there is one
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        line = JSONFormatter().format(record(exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ZeroDivisionError" in json.loads(line)["exception"]
