"""Waiting for work in a database that other processes write to as well."""

from __future__ import annotations

from collections.abc import Callable, Collection

from kombu_green.clock import Deadline
from kombu_green.storage.bell import Bell, Bells

__all__ = ["SQLAlchemyWakeups"]

INTERVAL = 0.02


class SQLAlchemyWakeups:
    """For one greenlet at a time."""

    def __init__(self, bells: Bells, look: Callable[[Collection[str]], float | None]) -> None:
        self._bells = bells
        self._look = look
        self._bell = Bell()

    def wait(self, queues: Collection[str], deadline: Deadline) -> None:
        with self._bells.listening(self._bell, queues):
            while not self._bell.wait(0) and (due := self._look(queues)) != 0 and not deadline.expired:
                seconds = INTERVAL if due is None else min(due, INTERVAL)
                if self._bell.wait(deadline.sooner(seconds).remaining()):
                    return

    def interrupt(self) -> None:
        self._bell.ring()

    def close(self) -> None:
        self._bell.ring()
