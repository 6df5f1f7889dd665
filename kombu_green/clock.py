"""Deadlines: points in time that are computed once and passed on to every step of an operation.

Three calls with the same timeout may take three times as long; with the same deadline they cannot.  Functions whose
signature has no deadline (those of AMQP and kombu) use the one of the surrounding :func:`deadline_scope`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["Deadline", "deadline_scope"]


class Deadline:
    """A point on the monotonic clock, or never.

    >>> Deadline.after(0).expired
    True
    >>> Deadline.never().remaining() is None
    True
    """

    __slots__ = ("at",)

    #: seconds on ``time.monotonic``'s scale, or None for never
    at: Final[float | None]

    def __init__(self, at: float | None) -> None:
        self.at = at

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The deadline *seconds* from now; None is never, and 0 or less has passed already."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    @classmethod
    def never(cls) -> Deadline:
        return cls(None)

    def remaining(self) -> float | None:
        """Seconds left, 0 or more; None for a deadline that never comes."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at

    @classmethod
    def current(cls) -> Deadline:
        """The soonest deadline of the :func:`deadline_scope` blocks around the caller, in this greenlet."""
        return _current.get()

    def soonest(self, other: Deadline) -> Deadline:
        """This deadline, or *other* if that is sooner."""
        return other if other.at is not None and (self.at is None or other.at < self.at) else self

    def sooner(self, seconds: float) -> Deadline:
        """This deadline, or *seconds* from now if that is sooner."""
        other = time.monotonic() + seconds
        return self if self.at is not None and self.at <= other else Deadline(other)

    def check(self, what: str) -> None:
        """Raise ``TimeoutError("<what>: the deadline passed")`` if this deadline has passed."""
        if self.expired:
            raise TimeoutError(f"{what}: the deadline passed")

    def __repr__(self) -> str:
        left = self.remaining()
        return "<Deadline never>" if left is None else f"<Deadline in {left:.3f}s>"


_current: Final[ContextVar[Deadline]] = ContextVar("deadline", default=Deadline.never())  # noqa: B039  never changes


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[None]:
    """Limit connecting, declaring and other requests in the ``with`` block: they raise ``TimeoutError`` at *deadline*.

    For this greenlet only.  Of nested blocks the soonest deadline counts.

    >>> with deadline_scope(Deadline.after(2)):
    ...     Deadline.current().expired
    False
    """
    before = _current.set(Deadline.current().soonest(deadline))
    try:
        yield
    finally:
        _current.reset(before)
