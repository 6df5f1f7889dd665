"""Verdicts: what shall happen to a message, as plain values that need no broker.

A callback returns one, or nothing, which is :class:`Ack`; :mod:`kombu_green.dispatch.policy` makes one of an exception.
A verdict with a value of the wrong type raises ``TypeError`` or ``ValueError`` when it is made, so in the callback.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, get_args

__all__ = ["VERDICTS", "Ack", "DeadLetter", "Drop", "Failure", "Requeue", "Retry", "Verdict", "shortened"]

# All headers of a message are sent in one frame, of at most 128 KiB on RabbitMQ.
LONGEST_MESSAGE: Final = 2 * 1024
LONGEST_TRACEBACK: Final = 16 * 1024

LONGEST_DELAY: Final = 10 * 365 * 86400.0  # seconds


def shortened(text: str, limit: int, *, keep_end: bool = False) -> str:
    """*text* in at most *limit* bytes of UTF-8; what is cut off at the end, or at the start, is marked by ``…``.

    A lone surrogate (an undecodable file name has them) is written out as ``\\udc80``: no queue could carry it.
    """
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    room = limit - len("…".encode())
    if keep_end:
        return "…" + data[len(data) - room :].decode("utf-8", "ignore")
    return data[:room].decode("utf-8", "ignore") + "…"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words that survive a trip through a queue's headers."""

    exception: str  # the qualified name of its class
    message: str  # at most 2 KiB
    traceback: str  # its last 16 KiB: the innermost frames come last

    @classmethod
    def of(cls, exception: BaseException) -> Failure:
        """Describe *exception*, its causes included; never raises, whatever its ``__str__`` does."""
        kind = type(exception)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        try:
            message = str(exception)
        except Exception as error:  # noqa: BLE001  the application's __str__ may raise anything
            message = f"(its __str__ raised {type(error).__name__})"
        try:
            lines = "".join(traceback.format_exception(exception))
        except Exception as error:  # noqa: BLE001  so may its __cause__, its notes or its loader
            lines = f"(no traceback: {type(error).__name__} while it was formatted)"
        return cls(
            shortened(name, LONGEST_MESSAGE),
            shortened(message, LONGEST_MESSAGE),
            shortened(lines, LONGEST_TRACEBACK, keep_end=True),
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """Done.

    ``reply`` is an answer, which must be encodable as JSON.  It is published to the queue that the message names in
    ``reply_to``, with the message's ``correlation_id``, before the message is acked.  Without a ``reply_to`` nothing
    is published.
    """

    reply: Any = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Again in *delay* seconds (or a ``timedelta``), as the next attempt.

    When a callback returns it, the retry policy's number of attempts does not apply: that counts failures only.
    """

    delay: float = 0.0
    failure: Failure | None = None

    def __post_init__(self) -> None:
        delay: object = self.delay
        if isinstance(delay, timedelta):
            delay = delay.total_seconds()
            object.__setattr__(self, "delay", delay)
        if isinstance(delay, bool) or not isinstance(delay, int | float):
            raise TypeError(f"Retry(delay={delay!r}): a number of seconds or a timedelta is needed")
        if not 0 <= delay <= LONGEST_DELAY:  # not a number is not, either
            raise ValueError(
                f"Retry(delay={delay!r}): 0 to {LONGEST_DELAY:.0f} seconds are possible, which is ten years"
            )
        _check_failure(self)


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to its queue, at once and first in line; not an attempt."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """To ``<queue>.dead``, with *reason*."""

    reason: str = "the callback said so"
    failure: Failure | None = None

    def __post_init__(self) -> None:
        _check_reason(self)
        _check_failure(self)


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget it: the one verdict that loses a message, on request."""

    reason: str = ""
    failure: Failure | None = None

    def __post_init__(self) -> None:
        _check_reason(self)
        _check_failure(self)


def _check_reason(verdict: DeadLetter | Drop) -> None:
    reason: object = verdict.reason
    if not isinstance(reason, str):
        raise TypeError(f"{type(verdict).__name__}(reason={reason!r}): text is needed; of an exception, str(error)")


def _check_failure(verdict: Retry | DeadLetter | Drop) -> None:
    failure: object = verdict.failure
    if not isinstance(failure, Failure | None):
        kind = type(verdict).__name__
        raise TypeError(f"{kind}(failure={failure!r}): a Failure is needed; of an exception, Failure.of(error)")


Verdict = Ack | Retry | Requeue | DeadLetter | Drop

#: the classes of verdicts, for isinstance
VERDICTS: Final[tuple[type[Verdict], ...]] = get_args(Verdict)
