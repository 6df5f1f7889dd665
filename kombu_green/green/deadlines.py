"""A deadline around calls that know of none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from kombu_green.clock import Deadline

__all__ = ["within"]


@contextmanager
def within(deadline: Deadline, what: str) -> Iterator[None]:
    """Raise ``TimeoutError`` that says *what* was under way when *deadline* passes.  Free when there is none."""
    seconds = deadline.remaining()
    if seconds is None:
        yield
        return
    with gevent.Timeout(seconds, TimeoutError(f"{what}: the deadline passed")):
        yield
