"""``kombu-worker status``: asks the launchers of an ini file over their sockets, and imports nothing of theirs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kombu_green.config.command_line import add_settings_options
from kombu_green.config.loader import read_state_setting
from kombu_green.config.problems import ConfigError
from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.enquiry import Answer, ask
from kombu_green.launcher.statefolder import state_folder

__all__ = ["shown", "status"]

_EPILOG: Final = """\
exit codes:
  0    it runs, and every process is ready (or stands by)
  1    it runs, and not every process is ready, or it does not answer
  2    the command line is wrong
  3    nobody runs this file
  78   the file cannot be read
"""
_ANSWER_WITHIN: Final = 2.0  # seconds
_COLUMNS: Final = (
    *("place", "pid", "phase", "age", "heartbeat", "running", "handled", "retried", "dead", "memory"),
    *("restarts", "last end"),
)


def status(argv: Sequence[str]) -> int:
    """Run ``kombu-worker status`` with what follows that word; returns the exit code, which ``--help`` explains."""
    given = _parser().parse_args(argv)
    try:
        settings = read_state_setting(given.file, given.overrides)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"kombu-worker: {problem}\n")
        return ExitCode.CANNOT_BOOT
    file = str(given.file.resolve())
    answers = [answer for answer in ask(state_folder(settings), _ANSWER_WITHIN) if _of(file, answer)]
    if given.json:
        sys.stdout.write(json.dumps([{"pid": answer.pid, **(answer.told or {})} for answer in answers]) + "\n")
    else:
        for answer in answers:
            sys.stdout.write("\n".join(shown(answer)) + "\n")
    if not answers:
        sys.stderr.write(f"kombu-worker: nobody runs {given.file}\n")
        return ExitCode.NOT_RUNNING
    return ExitCode.READY if all(answer.told and answer.told.get("ready") for answer in answers) else ExitCode.NOT_READY


def _of(file: str, answer: Answer) -> bool:
    """Whether it runs *file*: a state folder that was named may be shared."""
    return answer.told is None or answer.told.get("file") in (None, file)


def shown(answer: Answer) -> list[str]:
    """Lines for people."""
    told = answer.told
    if told is None:
        return [f"pid {answer.pid} does not answer"]
    heading = f"kombu-worker {told['version']} (pid {answer.pid}): {told['mode']} for {_age(told['uptime'])}"
    counts = ", ".join(f"{count} {name}" for name, count in told["messages"].items())
    return [heading, str(told["file"]), f"messages: {counts}", *_table([_COLUMNS, *map(_row, told["processes"])])]


def _row(process: Mapping[str, Any]) -> tuple[str, ...]:
    ends = (str(process["restarts"]), process["last_end"] or "")
    if process["pid"] is None:
        due = process["starts_in"]
        phase = process["phase"] if due is None else f"starts in {due:g}s"
        return (str(process["place"]), "-", phase, *["-"] * 7, *ends)
    counts = (str(process[name]) for name in ("running", "handled", "retried", "dead_lettered"))
    part = "" if process["part"] == "current" else f" ({process['part']})"
    return (
        *(str(process["place"]), str(process["pid"]), process["phase"] + part),
        *(_age(process["age"]), _age(process["heartbeat_age"]), *counts, _size(process["memory"]), *ends),
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _age(seconds: float | None) -> str:
    """``4.2s``, ``12m03s``, ``3h05m``, ``2d04h``."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24}d{hours % 24:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _size(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.0f}MiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kombu-worker status",
        description="Shows the launchers that run an ini file here, as this user, and their processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_settings_options(parser)
    parser.add_argument("--json", action="store_true", help="a JSON list with an object for each launcher")
    return parser
