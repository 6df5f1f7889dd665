"""What a worker process runs, as this floor needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gevent.event import AsyncResult

from kombu_green.clock import Deadline
from kombu_green.config.settings import Settings
from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest, Heartbeat
from kombu_green.ipc.phases import Phase

__all__ = ["Build", "Work"]


class Work(Protocol):
    """The consumers of one process, started and stopped as one."""

    on_phase: Callable[[Phase], None]
    """Called by the work as it enters each phase after the first and before the last; set before it is started."""

    @property
    def failed(self) -> AsyncResult[Any]:
        """Gets the error when it cannot go on; another process is started then."""
        ...

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """Keep a flight recorder from the start on, in the file *fd* for the parent to read.

        What blocks the hub for *block_warning* seconds is told to the log, and what holds a message for half of
        *consumer_timeout* seconds, where the broker takes it back after that; 0 is never.
        """
        ...

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """Ask whoever listens to *say* before a message is begun that was delivered before."""
        ...

    def answered(self, answer: AdmissionReply) -> None:
        """What came of an AdmissionRequest; never waits."""
        ...

    def start(self) -> None: ...

    @property
    def released(self) -> int:
        """Messages that the last stop gave back unfinished."""
        ...

    def stop(self, deadline: Deadline) -> None:
        """Finish what runs, by *deadline*, and give back what is unfinished then.

        Called again, from another greenlet, while a stop is under way: the sooner deadline counts for both.  A start
        that is under way was killed before.
        """
        ...

    def counters(self) -> Heartbeat: ...

    def describe(self) -> list[tuple[str, str]]:
        """What ``--check`` prints: what the transport in use promises, as pairs of name and words."""
        ...


Build = Callable[[Settings], Work]
"""Makes the work that settings describe, and starts nothing; raises one of
:data:`~kombu_green.config.problems.PERMANENT_ERRORS` with all problems."""
