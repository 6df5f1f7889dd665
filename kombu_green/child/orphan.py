"""Ending this process even when its hub hangs: native threads that need no hub.

They use the interpreter's own threads and sleep, from before the patches.  Foreign code that never releases the
interpreter's lock stops them as well; as long as the launcher lives, it kills such a process by its missing heartbeats.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Final, NoReturn

from gevent.monkey import get_original

__all__ = ["call_after", "exit_after", "exit_when_orphaned", "kill_process_group"]

_start_thread: Final[Callable[..., Any]] = get_original("_thread", "start_new_thread")
_sleep: Final[Callable[[float], None]] = get_original("time", "sleep")


def exit_when_orphaned(lifeline_fd: int, grace: float) -> None:
    """End this process *grace* seconds after its launcher has ended.  Returns at once.

    *lifeline_fd* is the read end of a pipe whose only write end the launcher holds.  During the grace the hub, which
    notices the launcher's end by its control socket, gives back unfinished messages.
    """
    os.set_inheritable(lifeline_fd, False)
    _start_thread(_wait_for_end_of_pipe, (lifeline_fd, grace))


def call_after(seconds: float, function: Callable[[], None]) -> None:
    """Call *function* in a native thread in *seconds*."""
    _start_thread(_call_later, (seconds, function))


def exit_after(seconds: float, code: int) -> None:
    """End this process with exit code *code* in *seconds*, even if exit hooks or native threads still run then."""
    _start_thread(_exit_later, (seconds, code))


def kill_process_group() -> NoReturn:
    """End this process at once.  If it leads a process group, kill the group, as the launcher would have done."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _wait_for_end_of_pipe(fd: int, grace: float) -> None:
    while os.read(fd, 1):  # the launcher never writes; this blocks no other thread
        pass
    _sleep(grace)
    kill_process_group()


def _exit_later(seconds: float, code: int) -> None:
    _sleep(seconds)
    os._exit(code)


def _call_later(seconds: float, function: Callable[[], None]) -> None:
    _sleep(seconds)
    function()
