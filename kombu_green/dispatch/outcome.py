"""A verdict is a value: what shall happen to a message, with no broker in sight.

A callback returns one, or nothing, which is :class:`Ack`; :mod:`kombu_green.dispatch.policy` makes one of an exception.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ack", "DeadLetter", "Drop", "Failure", "Requeue", "Retry", "Verdict"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words that survive a trip through a queue's headers."""

    exception: str  # the qualified name of its class
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Ack:
    """Done."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Again in *delay* seconds, as attempt number *attempt* + 1."""

    delay: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to its queue, at once and first in line; not an attempt."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """To ``<queue>.dead``, with *reason*."""

    reason: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget it: the one verdict that loses a message, on request."""

    reason: str = ""


Verdict = Ack | Retry | Requeue | DeadLetter | Drop
