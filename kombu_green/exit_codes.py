"""Every exit code of ``kombu-worker``, its verbs and its child processes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["OF_THE_LAUNCHER", "ExitCode"]


class ExitCode(IntEnum):
    """What a process says by its end; a name for each meaning, so that some numbers have two."""

    DRAINED = 0
    DONE = 0  # of a verb
    READY = 0  # of ``status``
    RELEASED = 1  # the deadline passed, and what was left was given back
    FAILED = 1  # of a verb
    NOT_READY = 1  # of ``status``
    USAGE = 2
    NOT_RUNNING = 3  # of ``status``: no launcher runs this file
    CRASHED = 70  # EX_SOFTWARE of sysexits.h: a child cannot go on, and the launcher starts another one
    CANNOT_BOOT = 78  # EX_CONFIG of sysexits.h: starting again does not help
    INTERRUPTED = 130  # the second SIGINT: 128 + 2, as shells say it
    BROKEN_PIPE = 141  # 128 + SIGPIPE, as for other commands


#: how ``kombu-worker`` without a verb ends
OF_THE_LAUNCHER: Final = (
    ExitCode.DRAINED,
    ExitCode.RELEASED,
    ExitCode.USAGE,
    ExitCode.CANNOT_BOOT,
    ExitCode.INTERRUPTED,
)
