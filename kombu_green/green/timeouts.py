"""A deadline for code that takes none as an argument: a timer of the hub raises when it passes.

:func:`kombu_green.clock.deadline_scope` is another thing: it sets the deadline that kombu's and AMQP's verbs ask for,
and raises nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from kombu_green.clock import Deadline

__all__ = ["raise_at"]


@contextmanager
def raise_at(deadline: Deadline, what: str) -> Iterator[None]:
    """Raise ``TimeoutError("<what>: the deadline passed")`` in the ``with`` block when *deadline* passes.

    A deadline that never comes costs no timer.
    """
    seconds = deadline.remaining()
    if seconds is None:
        yield
        return
    with gevent.Timeout(seconds, TimeoutError(f"{what}: the deadline passed")):
        yield
