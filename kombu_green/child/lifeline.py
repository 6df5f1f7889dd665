"""The last resort of a process whose hub may hang: native threads that need no hub.

They use the interpreter's own threads and sleep, as they were before the patches.  What they cannot do anything about
is foreign code that never lets go of the interpreter's lock; while the parent lives, it kills such a process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Final, NoReturn

from gevent.monkey import get_original

__all__ = ["end", "exit_within", "watch"]

_start_thread: Final[Callable[..., Any]] = get_original("_thread", "start_new_thread")
_sleep: Final[Callable[[float], None]] = get_original("time", "sleep")


def watch(fd: int, grace: float) -> None:
    """End this process *grace* seconds after *fd*, the read end of a pipe of which the parent has the other, ends.

    The grace is for the hub, which sees the parent go by itself, to give back what is unfinished.
    """
    os.set_inheritable(fd, False)
    _start_thread(_wait, (fd, grace))


def exit_within(seconds: float, code: int) -> None:
    """End this process with *code* in *seconds* whatever happens: a callback's native thread may not let it exit."""
    _start_thread(_exit_later, (seconds, code))


def end() -> NoReturn:
    """End this orphan at once, and its process group where it has its own, as the parent would have done."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _wait(fd: int, grace: float) -> None:
    while os.read(fd, 1):  # nothing is ever written; blocks this thread only
        pass
    _sleep(grace)
    end()


def _exit_later(seconds: float, code: int) -> None:
    _sleep(seconds)
    os._exit(code)
