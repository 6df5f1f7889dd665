"""Deadlines: one point in time, made at the edge and passed down through every step below.

A timeout passed to three calls in a row takes three times as long; a deadline does not.  Verbs whose signature has no
room for one (AMQP's, and kombu's) keep to the deadline that :func:`deadline_scope` has set around them.
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
        """The deadline *seconds* from now; None is never, 0 and less have passed already."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    @classmethod
    def never(cls) -> Deadline:
        return cls(None)

    def remaining(self) -> float | None:
        """Seconds left, never negative; None when there is no end."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at

    @classmethod
    def current(cls) -> Deadline:
        """The soonest deadline of the :func:`deadline_scope` blocks that this greenlet is in."""
        return _current.get()

    def soonest(self, other: Deadline) -> Deadline:
        """This deadline, or *other* when that comes first."""
        return other if other.at is not None and (self.at is None or other.at < self.at) else self

    def sooner(self, seconds: float) -> Deadline:
        """This deadline, or the one *seconds* from now when that comes first."""
        other = time.monotonic() + seconds
        return self if self.at is not None and self.at <= other else Deadline(other)

    def check(self, what: str) -> None:
        """Raise ``TimeoutError`` saying *what* was not done in time, if the time is over."""
        if self.expired:
            raise TimeoutError(f"{what}: the deadline passed")

    def __repr__(self) -> str:
        left = self.remaining()
        return "<Deadline never>" if left is None else f"<Deadline in {left:.3f}s>"


_current: Final[ContextVar[Deadline]] = ContextVar("deadline", default=Deadline.never())  # noqa: B039  never changes


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[None]:
    """What this greenlet connects, declares and asks inside ends by *deadline*, with a ``TimeoutError``.

    >>> with deadline_scope(Deadline.after(2)):
    ...     Deadline.current().expired
    False
    """
    before = _current.set(Deadline.current().soonest(deadline))
    try:
        yield
    finally:
        _current.reset(before)
