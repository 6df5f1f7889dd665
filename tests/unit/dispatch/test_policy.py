from __future__ import annotations

import pytest

from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Requeue, Retry
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.exceptions import ContentDisallowed, DecodeError
from kombu_green.retry import Backoff

STEADY = RetryPolicy(attempts=3, backoff=Backoff(first=1, ceiling=600, jitter=False))


@pytest.mark.parametrize("verdict", [Ack(), Retry(3.0), Requeue(), DeadLetter("because"), Drop("because")])
def test_a_returned_verdict_is_itself(verdict: object) -> None:
    assert verdict_of(verdict) is verdict


@pytest.mark.parametrize("returned", [None, 0, False, "", "done", {"a": 1}, object(), int])
def test_everything_else_is_an_ack(returned: object) -> None:
    assert verdict_of(returned) == Ack()


@pytest.mark.parametrize("kind", [Ack, Retry, Requeue, DeadLetter, Drop])
def test_the_bare_class_is_meant_as_its_instance(kind: type) -> None:
    assert type(verdict_of(kind)) is kind


def test_retries_with_growing_delays_then_buries() -> None:
    error = ValueError("bad day")
    first, second, last = (decide(error, attempt, STEADY) for attempt in (1, 2, 3))
    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert (first.delay, second.delay) == (1.0, 2.0)
    assert first.failure is not None
    assert first.failure.message == "bad day"
    assert isinstance(last, DeadLetter)
    assert last.reason == "failed in 3 attempts, the last time with ValueError: bad day"
    assert last.failure is not None


def test_an_attempt_beyond_the_last_is_buried_and_one_before_the_first_is_the_first() -> None:
    assert isinstance(decide(ValueError(), 99, STEADY), DeadLetter)
    assert decide(ValueError(), 0, STEADY) == decide(ValueError(), 1, STEADY)


def test_one_attempt_never_retries() -> None:
    verdict = decide(ValueError("x"), 1, RetryPolicy(attempts=1))
    assert isinstance(verdict, DeadLetter)
    assert verdict.reason == "failed in 1 attempt, the last time with ValueError: x"


@pytest.mark.parametrize("error", [DecodeError("not json"), ContentDisallowed("pickle")])
def test_unreadable_content_is_buried_at_once(error: Exception) -> None:
    verdict = decide(error, 1, STEADY)
    assert isinstance(verdict, DeadLetter)
    assert verdict.reason == f"its content cannot be read: {error}"


def test_not_on_is_buried_at_once_subclasses_included() -> None:
    policy = RetryPolicy(not_on=(LookupError,))
    verdict = decide(KeyError("k"), 1, policy)
    assert isinstance(verdict, DeadLetter)
    assert verdict.reason == "KeyError is not retried: 'k'"
    assert isinstance(decide(ValueError(), 1, policy), Retry)


def test_without_dead_letters_what_is_given_up_is_dropped() -> None:
    policy = RetryPolicy(attempts=2, dead_letter=False, not_on=(KeyError,))
    assert isinstance(decide(ValueError(), 1, policy), Retry)
    for error, attempt in ((ValueError(), 2), (KeyError(), 1), (DecodeError(), 1)):
        assert isinstance(decide(error, attempt, policy), Drop)


def test_exceptions_beyond_exception_are_judged_too() -> None:
    assert isinstance(decide(SystemExit(1), 1, STEADY), Retry)


def test_the_default_policy_and_its_check() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.backoff, policy.dead_letter, policy.not_on) == (5, Backoff(1, 600), True, ())
    with pytest.raises(ValueError, match="attempts = 0"):
        RetryPolicy(attempts=0)
