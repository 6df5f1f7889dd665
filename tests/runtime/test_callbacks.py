"""Whatever a callback does, its message is settled, other messages are handled, and no slot ends.

docs/guides/messages-that-fail.rst has the same table; each row is a case here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import gevent
import pytest

from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Retry
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Exchange, Queue
from kombu_green.messaging import Producer
from tests.support.yard import Yard

ONCE = RetryPolicy(attempts=1)
SLOTS = 2


def raises(error: BaseException) -> Callable[[Any, Any], object]:
    def callback(body: Any, message: Any) -> object:
        raise error

    return callback


def returns(make: Callable[[], object]) -> Callable[[Any, Any], object]:
    return lambda body, message: make()


def current() -> gevent.Greenlet[..., Any]:
    found = gevent.getcurrent()
    assert isinstance(found, gevent.Greenlet)
    return found


def kills_itself(body: Any, message: Any) -> None:
    current().kill()


def leaks_a_timeout(body: Any, message: Any) -> None:
    gevent.Timeout(0.01).start()
    gevent.sleep(10)


def settles_twice(body: Any, message: Any) -> None:
    message.ack()
    message.reject()


async def coroutine() -> None:
    pass


async def asynchronous_generator() -> Any:
    yield 1


def generator() -> Any:
    yield 1


class Awaitable:
    def __await__(self) -> Any:
        yield


def forged(kind: type[Any], **fields: object) -> object:
    """A verdict with fields that its constructor would refuse."""
    verdict = object.__new__(kind)
    for name, value in {"failure": None, "delay": 0.0, "reason": "", **fields}.items():
        if name in kind.__slots__:
            object.__setattr__(verdict, name, value)
    return verdict


#: what the callback does: callback, what the reason of its dead letter has in it, or None when it is acked
CASES: dict[str, tuple[Callable[[Any, Any], object], str | None]] = {
    "raises an exception": (raises(ValueError("bad")), "ValueError: bad"),
    "raises SystemExit": (raises(SystemExit(3)), "SystemExit"),
    "raises KeyboardInterrupt": (raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "raises GreenletExit": (raises(gevent.GreenletExit()), "GreenletExit"),
    "raises StopIteration": (raises(StopIteration()), "StopIteration"),
    "raises MemoryError": (raises(MemoryError()), "MemoryError"),
    "leaks a gevent.Timeout": (leaks_a_timeout, "Timeout"),
    "kills its own greenlet": (kills_itself, "GreenletExit"),
    "settles its message twice": (settles_twice, None),
    "returns a coroutine": (returns(coroutine), "returned a coroutine"),
    "returns a generator": (returns(generator), "returned a generator"),
    "returns an asynchronous generator": (returns(asynchronous_generator), "returned a async_generator"),
    "returns an awaitable": (returns(Awaitable), "returned a Awaitable"),
    "returns any other value": (returns(object), None),
    "returns Retry with a text": (returns(lambda: Retry("soon")), "a number of seconds or a timedelta"),  # type: ignore[arg-type]
    "returns Retry with nan": (returns(lambda: Retry(float("nan"))), "0 to 315360000 seconds"),
    "returns Retry with 1e18": (returns(lambda: Retry(1e18)), "0 to 315360000 seconds"),
    "returns Retry with -1": (returns(lambda: Retry(-1)), "0 to 315360000 seconds"),
    "returns DeadLetter with an exception": (returns(lambda: DeadLetter(ValueError())), "text is needed"),  # type: ignore[arg-type]
    "returns Drop with an exception": (returns(lambda: Drop(ValueError())), "text is needed"),  # type: ignore[arg-type]
    "returns a forged Retry": (returns(lambda: forged(Retry, delay="x")), "its verdict cannot be carried out"),
    "returns a forged DeadLetter": (returns(lambda: forged(DeadLetter, reason=7)), "its verdict cannot be carried out"),
    "replies with what is no JSON": (returns(lambda: Ack(reply=object())), None),
}


@pytest.mark.parametrize("ack", ["late", "early"])
@pytest.mark.parametrize("case", CASES)
def test_no_callback_ends_a_slot_or_loses_a_message(yard: Yard, case: str, ack: str) -> None:
    """One such message for each slot, and as many normal ones after them."""
    act, reason = CASES[case]
    good: list[Any] = []
    yard.handle = lambda body, message: good.append(body) if body == "good" else act(body, message)
    with yard.consuming(policy=ONCE, concurrency=SLOTS, ack=ack):
        for body in ["odd"] * SLOTS + ["good"] * SLOTS:
            yard.publish(body)
        yard.wait(lambda: len(good) == SLOTS and yard.counters.handled + yard.counters.dead_lettered == 2 * SLOTS)
    dead = yard.left(".dead")
    assert [str(reason) in headers["x-kombu-green-reason"] for headers in dead] == [True] * len(dead)
    assert len(dead) == (0 if reason is None else SLOTS)
    assert yard.left() == []
    assert good == ["good"] * SLOTS


def test_a_callback_may_kill_the_slot_of_another_message(yard: Yard) -> None:
    """The killing callback continues; the killed one has failed, and a new greenlet takes its slot."""
    running: list[gevent.Greenlet[..., Any]] = []
    done: list[Any] = []

    def handle(body: Any, message: Any) -> None:
        if body == "waits":
            running.append(current())
            gevent.sleep(60)
        elif body == "kills":
            running[0].kill(timeout=20)
            assert running[0].dead
        done.append(body)

    yard.handle = handle
    with yard.consuming(policy=ONCE, concurrency=SLOTS):
        yard.publish("waits")
        yard.wait(lambda: bool(running))
        yard.publish("kills")
        yard.wait(lambda: done == ["kills"])
        for _ in range(2 * SLOTS):
            yard.publish("good")
        yard.wait(lambda: len(done) == 1 + 2 * SLOTS)
    (headers,) = yard.left(".dead")
    assert "GreenletExit" in headers["x-kombu-green-reason"]
    assert yard.left() == []


def test_a_retry_takes_a_timedelta(yard: Yard) -> None:
    assert Retry(timedelta(milliseconds=1500)).delay == 1.5  # type: ignore[arg-type]
    results: list[object] = [Retry(timedelta(milliseconds=10)), None]  # type: ignore[arg-type]
    yard.handle = lambda body, message: results.pop(0)
    with yard.consuming():
        yard.publish()
        yard.wait(lambda: yard.counters.handled == 1)
    assert results == []


def test_every_attempt_sees_the_exchange_and_routing_key_of_the_first(yard: Yard) -> None:
    """The retry itself is published to the default exchange, with the name of its queue as routing key."""
    channel = yard.connection.default_channel
    exchange = Exchange(f"{yard.queue}-exchange", "topic")
    Queue(yard.queue, exchange, "video.#")(channel).declare()
    seen: list[dict[str, Any]] = []

    def handle(body: Any, message: Any) -> object:
        seen.append(dict(message.delivery_info))
        return Retry() if len(seen) < 3 else None

    yard.handle = handle
    with yard.consuming():
        Producer(channel, exchange).publish("x", routing_key="video.mp4")
        yard.wait(lambda: yard.counters.handled == 1)
    exchange(channel).delete()
    assert [(info["exchange"], info["routing_key"]) for info in seen] == [(exchange.name, "video.mp4")] * 3
    assert "delivered_with" not in seen[0]
    assert seen[1]["delivered_with"] == seen[2]["delivered_with"] == {"exchange": "", "routing_key": yard.queue}


def test_a_callback_for_a_key_gets_the_retries_of_its_messages(yard: Yard) -> None:
    attempts: list[int] = []

    def resize(body: Any, message: Any) -> object:
        attempts.append(attempt_of(message.headers, yard.queue))
        return Retry() if len(attempts) < 2 else None

    with yard.consuming(callbacks={"video.*": resize}):
        channel = yard.connection.default_channel
        exchange = Exchange(f"{yard.queue}-exchange", "topic")
        Queue(yard.queue, exchange, "#")(channel).declare()
        Producer(channel, exchange).publish("x", routing_key="video.mp4")
        yard.wait(lambda: yard.counters.handled == 1)
        exchange(channel).delete()
    assert attempts == [1, 2]


def test_a_coroutine_that_is_returned_is_closed() -> None:
    """Otherwise Python would warn that it was never awaited, which is an error in pytest."""
    made = coroutine()
    from kombu_green.dispatch.policy import verdict_of

    assert isinstance(verdict_of(made), DeadLetter)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        asyncio.run(made)


@pytest.mark.parametrize(("limit", "handled"), [({}, False), ({"max_unpacked": 32 * 2**20}, True)])
def test_a_body_that_unpacks_to_more_than_the_limit_is_dead_lettered(
    yard: Yard, limit: dict[str, Any], handled: bool
) -> None:
    """17 MiB of a text, in 17 KiB; it is refused before the memory is taken."""
    sizes: list[int] = []
    yard.handle = lambda body, message: sizes.append(len(body))
    with yard.consuming(policy=ONCE, **limit):
        yard.publish("x" * (17 * 2**20), compression="zlib")
        yard.publish("small", compression="zlib")
        yard.wait(lambda: yard.counters.handled + yard.counters.dead_lettered == 2)
    assert sorted(sizes) == ([5, 17 * 2**20] if handled else [5])
    reasons = [headers["x-kombu-green-reason"] for headers in yard.left(".dead")]
    assert [reason for reason in reasons if "when unpacked, which is the limit" not in reason] == []
    assert len(reasons) == (not handled)
