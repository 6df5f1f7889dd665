"""From what a callback returned or raised to a verdict, without a broker.

::

    the callback                                       verdict
    returned None, or anything that is no verdict      Ack
    returned a verdict (or the class of one)           that one
    returned a coroutine, a generator or an awaitable  DeadLetter: nothing has run, and nothing would await it
    raised DecodeError, or one of the policy's not_on  DeadLetter at once
    raised, and attempts are left                      Retry after the backoff
    raised at the last attempt                         DeadLetter

Where the policy says ``dead_letter=False``, a failure's DeadLetter is a Drop.  One that a callback returns stays.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from dataclasses import dataclass
from typing import Final

from kombu_green.dispatch.outcome import VERDICTS, Ack, DeadLetter, Drop, Failure, Retry, Verdict
from kombu_green.exceptions import DecodeError
from kombu_green.retry import Backoff

__all__ = ["RetryPolicy", "decide", "verdict_of"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a message that fails is tried, how long apart, and what becomes of it then.

    ``attempts`` counts the first one too: 1 never retries.  ``not_on`` lists exceptions that trying again cannot help.
    """

    attempts: int = 5
    backoff: Backoff = Backoff(first=1.0, ceiling=600.0)  # noqa: RUF009  it is immutable
    dead_letter: bool = True
    not_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts = {self.attempts}: a message is tried once at least")


def verdict_of(returned: object) -> Verdict:
    """The verdict in what a callback returned.

    Programs written for kombu return any value, so a value that is no verdict means success.  The class of a verdict
    (``return Retry``) stands for its instance: Ack in its place would lose the message.
    """
    if returned is None:
        return _ACK
    if isinstance(returned, VERDICTS):
        return returned
    if isinstance(returned, type) and issubclass(returned, VERDICTS):
        return returned()
    return DeadLetter(reason) if (reason := _not_run(returned)) else _ACK


def _not_run(returned: object) -> str | None:
    """Why *returned* means that the callback has not done its work, or None."""
    if isinstance(returned, Coroutine):
        returned.close()  # else Python warns that it was never awaited
    elif not isinstance(returned, Generator | AsyncGenerator | Awaitable):
        return None
    kind = type(returned).__name__
    return (
        f"the callback returned a {kind}, which nothing runs: callbacks run in greenlets, so write a plain function"
        " that waits by itself"
    )


def decide(exception: BaseException, attempt: int, policy: RetryPolicy) -> Verdict:
    """The verdict on a message whose attempt number *attempt* (1 is the first) ended with *exception*."""
    failure = Failure.of(exception)
    if isinstance(exception, DecodeError):
        return _give_up(f"its content cannot be read: {failure.message}", failure, policy)
    if isinstance(exception, policy.not_on):
        return _give_up(f"{failure.exception} is not retried: {failure.message}", failure, policy)
    if attempt >= policy.attempts:
        times = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        return _give_up(
            f"failed in {times}, the last time with {failure.exception}: {failure.message}", failure, policy
        )
    return Retry(policy.backoff.delay(max(attempt, 1)), failure)


def _give_up(reason: str, failure: Failure, policy: RetryPolicy) -> DeadLetter | Drop:
    return DeadLetter(reason, failure) if policy.dead_letter else Drop(reason, failure)


_ACK: Final = Ack()
