"""``kombu-worker status``: asks the launchers of an ini file over their sockets, and prints what they answer.

It imports no application, and reads ``[worker] state`` of the file alone, so it works whatever else is wrong.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kombu_green.clock import Deadline
from kombu_green.config.command_line import add_settings_options
from kombu_green.config.loader import read_state_setting
from kombu_green.config.problems import ConfigError
from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.state_folder import socket_address, sockets, state_folder

__all__ = ["LauncherStatus", "query", "shown", "status"]

_EPILOG: Final = """\
exit codes:
  0    it runs, and every process is ready (or stands by)
  1    it runs, and not every process is ready, or it does not answer
  2    the command line is wrong
  3    no launcher runs this file
  78   the file cannot be read
"""
_ANSWER_WITHIN: Final = 2.0  # seconds
_LONGEST_ANSWER: Final = 16 * 1024 * 1024  # bytes
_COLUMNS: Final = (
    *("process", "pid", "phase", "age", "heartbeat", "running", "handled", "retried", "dead", "memory"),
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
    launchers = [one for one in query(state_folder(settings), _ANSWER_WITHIN) if _runs(file, one)]
    if given.json:
        sys.stdout.write(json.dumps([{"pid": one.pid, **(one.document or {})} for one in launchers]) + "\n")
    else:
        for one in launchers:
            sys.stdout.write("\n".join(shown(one)) + "\n")
    if not launchers:
        sys.stderr.write(f"kombu-worker: no launcher runs {given.file}\n")
        return ExitCode.NOT_RUNNING
    ready = all(one.document and one.document.get("ready") for one in launchers)
    return ExitCode.READY if ready else ExitCode.NOT_READY


def _runs(file: str, launcher: LauncherStatus) -> bool:
    """Whether *launcher* runs *file*; several files may share a state folder that they name."""
    return launcher.document is None or launcher.document.get("file") in (None, file)


# -- asking


@dataclass(frozen=True, slots=True)
class LauncherStatus:
    """What the launcher *pid* answered, as :func:`kombu_green.launcher.status_server.status_document` makes it.

    *document* is None when it did not answer in time, or not with a JSON object.
    """

    pid: int
    document: Mapping[str, Any] | None


def query(folder: Path, seconds: float) -> list[LauncherStatus]:
    """The answers of all launchers that have a socket in *folder*, by pid; each may take so many *seconds*.

    A socket that no launcher listens to any more is removed.
    """
    answers = (_query(pid, path, Deadline.after(seconds)) for pid, path in sockets(folder))
    return [answer for answer in answers if answer is not None]


def _query(pid: int, path: Path, deadline: Deadline) -> LauncherStatus | None:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(deadline.remaining())
            with socket_address(path) as address:
                connection.connect(address)
            return LauncherStatus(pid, _receive(connection, deadline))
    except ConnectionRefusedError:  # the launcher was killed, and its socket was left behind
        with suppress(OSError):
            path.unlink()
        return None
    except FileNotFoundError:  # the launcher has ended just now
        return None
    except (OSError, ValueError):
        return LauncherStatus(pid, None)


def _receive(connection: socket.socket, deadline: Deadline) -> Mapping[str, Any]:
    """The document that the launcher sends; ``ValueError`` when it is no JSON object."""
    pieces, size = [], 0
    while size <= _LONGEST_ANSWER:
        connection.settimeout(max(deadline.remaining() or 0.0, 0.001))
        piece = connection.recv(65536)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    document = json.loads(b"".join(pieces))
    if not isinstance(document, dict):
        raise ValueError("not an object")
    return document


# -- printing


def shown(launcher: LauncherStatus) -> list[str]:
    """The lines that are printed for one launcher."""
    document = launcher.document
    if document is None:
        return [f"pid {launcher.pid} does not answer"]
    version, mode, uptime = document["version"], document["mode"], _age(document["uptime"])
    counts = ", ".join(f"{count} {name}" for name, count in document["messages"].items())
    return [
        f"kombu-worker {version} (pid {launcher.pid}): {mode} for {uptime}",
        str(document["file"]),
        f"messages: {counts}",
        *_table([_COLUMNS, *map(_row, document["processes"])]),
    ]


def _row(process: Mapping[str, Any]) -> tuple[str, ...]:
    ends = (str(process["restarts"]), process["last_end"] or "")
    if process["pid"] is None:
        starts_in = process["starts_in"]
        phase = process["phase"] if starts_in is None else f"starts in {starts_in:g}s"
        return (str(process["process"]), "-", phase, *["-"] * 7, *ends)
    counts = (str(process[name]) for name in ("running", "handled", "retried", "dead_lettered"))
    role = "" if process["role"] == "current" else f" ({process['role']})"
    return (
        *(str(process["process"]), str(process["pid"]), process["phase"] + role),
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
