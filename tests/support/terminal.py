"""A terminal for the ``console`` blocks of a page, with a Ctrl-C key.

What is shown has to be what the page says, line by line, but for what cannot be the same twice: times, process ids, and
whatever stands in the place of ``...`` (within a line: some of it; alone on a line: any number of lines).

Where the page shows ``^C``, the key is pressed as soon as everything above it has been seen.  Such a command has
processes of its own, whose lines may come in any order, so they are looked for in any order.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.support.code_blocks import Command

__all__ = ["Terminal", "agree", "missing"]

PATIENCE: Final = 60.0  # seconds for what has to come
INTERRUPT: Final = "^C"
# Makes the terminal the session's own, as a login does, so that Ctrl-C is a signal.
_LOGIN: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "-c", sys.argv[1]])
"""
_CHANGING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:?\d\d"), "TIME"),
    (re.compile(r"\b(DEBUG|INFO|WARNING|ERROR) \d+ "), r"\1 PID "),
    (re.compile(r"\bpid \d+"), "pid PID"),
    (re.compile(r'"(pid|child)": \d+'), r'"\1": PID'),
)


class Terminal:
    """In *folder*, with *environment*; remembers the exit code for ``echo $?``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder: Final = folder
        self._environment: Final = dict(environment)
        self.code = 0

    def type(self, command: Command) -> str:
        """Run it, with Ctrl-C where the page says so; returns how the two differ, empty when they do not."""
        session = _Session(f"(exit {self.code}); {command.typed}", self._folder, self._environment)
        try:
            stages = _stages(command.shown)
            for stage in stages[:-1]:
                session.read_until(partial(_all_there, stage))
                before = session.take()
                session.press_interrupt()
                if difference := _unordered(stage, before):
                    return difference
            self.code = session.end()
            shown = session.take()
            if len(stages) > 1:
                return _unordered(stages[-1], shown)
            return "" if agree(stages[0], shown) else _both(stages[0], shown)
        finally:
            session.kill()


def _stages(shown: Sequence[str]) -> list[list[str]]:
    """The lines between one Ctrl-C and the next."""
    stages: list[list[str]] = [[]]
    for line in shown:
        rest = line.removeprefix(INTERRUPT)
        if rest != line:
            stages.append([])
        if rest or rest == line:
            stages[-1].append(rest)
    return stages


class _Session:
    def __init__(self, script: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, script],
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._end = time.monotonic() + PATIENCE
        self._text = ""
        self._open = True

    def take(self) -> list[str]:
        """The lines so far, which are not seen again."""
        lines = self._lines()
        self._text = ""
        return lines

    def _lines(self) -> list[str]:
        return self._text.replace("\r\n", "\n").replace(INTERRUPT, "").splitlines()

    def read_until(self, satisfied: Callable[[Sequence[str]], bool]) -> None:
        while self._open and not satisfied(self._lines()) and time.monotonic() < self._end:
            self._read()

    def press_interrupt(self) -> None:
        os.write(self._ours, b"\x03")

    def end(self) -> int:
        """Read to the end; the exit code."""
        self.read_until(lambda lines: False)
        return self._process.wait(max(0.0, self._end - time.monotonic()))

    def _read(self) -> None:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, self._end - time.monotonic()))
        try:
            piece = os.read(self._ours, 65536) if ready else b""
        except OSError:  # on Linux, when nobody has the terminal any more
            piece = b""
        self._open = bool(piece)
        self._text += piece.decode()

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._ours)


def _plain(line: str) -> str:
    for pattern, same in _CHANGING:
        line = pattern.sub(same, line)
    return line.rstrip()


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, _plain(line).split("...")))


def agree(said: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether the page and the terminal say the same, in the same order."""
    lines = ["(?:.*\n)*" if line.strip() == "..." else _pattern(line) + "\n" for line in said]
    return re.fullmatch("".join(lines), "".join(_plain(line) + "\n" for line in shown)) is not None


def missing(said: Sequence[str], shown: Sequence[str]) -> list[str]:
    """Lines of the page that the terminal does not show, in whatever order."""
    return _compared(said, shown)[0]


def _all_there(said: Sequence[str], shown: Sequence[str]) -> bool:
    return not missing(said, shown)


def _compared(said: Sequence[str], shown: Sequence[str]) -> tuple[list[str], list[str]]:
    left = [_plain(line) for line in shown]
    absent = []
    for line in said:
        if line.strip() == "...":
            continue
        found = next((at for at, other in enumerate(left) if re.fullmatch(_pattern(line), other)), None)
        if found is None:
            absent.append(line)
        else:
            del left[found]
    return absent, [] if any(line.strip() == "..." for line in said) else left


def _unordered(said: Sequence[str], shown: Sequence[str]) -> str:
    absent, more = _compared(said, shown)
    return _both(said, shown) if absent or more else ""


def _both(said: Sequence[str], shown: Sequence[str]) -> str:
    return "\n".join(["the page says:", *said, "and the terminal shows:", *shown])
