"""Each verdict, carried out on a real broker."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Failure, Requeue, Retry, Verdict
from kombu_green.entity import Queue
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.worker.counters import Counters
from kombu_green.worker.settling import Settler

FAILURE = Failure("builtins.ValueError", "bad", "Traceback …")


@pytest.fixture
def counters() -> Counters:
    return Counters()


def delivered(connection: Connection, **properties: Any) -> Message:
    queue = Queue("q")(connection.channel())
    queue.declare()
    Producer(connection.default_channel).publish({"n": 1}, routing_key="q", **properties)
    message = queue.get()
    assert message is not None
    return message


def settle(connection: Connection, counters: Counters, message: Message, verdict: Verdict) -> None:
    Settler("q", lambda: connection.default_channel, counters).settle(message, verdict)


def left_in(connection: Connection, name: str) -> Message | None:
    queue = Queue(name)(connection.channel())
    queue.declare()
    return queue.get()


def test_ack(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    settle(connection, counters, message, Ack())
    assert message.acknowledged
    assert counters.handled == 1
    assert left_in(connection, "q") is None


def test_a_reply_goes_to_where_it_is_awaited(connection: Connection, counters: Counters) -> None:
    Queue("replies")(connection.channel()).declare()
    message = delivered(connection, reply_to="replies", correlation_id="c7")
    settle(connection, counters, message, Ack(reply={"answer": 42}))
    reply = left_in(connection, "replies")
    assert reply is not None
    assert reply.payload == {"answer": 42}
    assert reply.properties["correlation_id"] == "c7"
    assert left_in(connection, "q") is None


@pytest.mark.parametrize("properties", [{}, {"reply_to": "nobody-waits-here"}])
def test_a_reply_that_nobody_awaits_is_no_failure(
    connection: Connection, counters: Counters, properties: dict[str, Any]
) -> None:
    settle(connection, counters, delivered(connection, **properties), Ack(reply=1))
    assert counters.handled == 1
    assert left_in(connection, "q") is None


def test_a_reply_that_cannot_be_written_does_not_repeat_the_work(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, reply_to="q")
    settle(connection, counters, message, Ack(reply=object()))
    assert counters.handled == 1
    assert left_in(connection, "q") is None


def test_retry_comes_back_after_its_delay_with_its_history(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, headers={"mine": 1}, message_id="m")
    settle(connection, counters, message, Retry(0.1, FAILURE))
    assert counters.retried == 1
    assert left_in(connection, "q") is None
    with gevent.Timeout(10):
        while (again := left_in(connection, "q")) is None:
            gevent.sleep(0.01)
    assert again.payload == {"n": 1}
    assert again.properties["message_id"] == "m"
    assert again.headers["mine"] == 1
    assert attempt_of(again.headers, "q") == 2
    again.ack()
    connection.close()  # what was not settled would come back now
    assert left_in(connection, "q") is None


def test_requeue_is_no_attempt(connection: Connection, counters: Counters) -> None:
    settle(connection, counters, delivered(connection), Requeue())
    again = left_in(connection, "q")
    assert again is not None
    assert attempt_of(again.headers, "q") == 1


def test_a_dead_letter_is_whole_and_says_why(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, headers={"mine": 1}, expiration=60, message_id="m")
    settle(connection, counters, message, DeadLetter("it is bad", FAILURE))
    assert counters.dead_lettered == 1
    assert left_in(connection, "q") is None
    dead = left_in(connection, "q.dead")
    assert dead is not None
    assert dead.body == message.body
    assert dead.properties["message_id"] == "m"
    assert "expiration" not in dead.properties
    said = {name.removeprefix("x-kombu-green-"): value for name, value in dead.headers.items()}
    assert said["reason"] == "it is bad"
    assert said["exception"] == "builtins.ValueError"
    assert said["traceback"] == "Traceback …"
    assert (said["queue"], said["routing-key"], said["attempts"], said["mine"]) == ("q", "q", 1, 1)


def test_drop(connection: Connection, counters: Counters) -> None:
    settle(connection, counters, delivered(connection), Drop("on request"))
    assert counters.dropped == 1
    assert left_in(connection, "q") is None
    assert left_in(connection, "q.dead") is None


def test_what_the_callback_settled_itself_is_left_alone(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    message.requeue()
    settle(connection, counters, message, DeadLetter("ignored"))
    assert left_in(connection, "q") is not None
    assert left_in(connection, "q.dead") is None


def test_what_was_lost_meanwhile_is_counted_and_harms_nobody(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    assert isinstance(message.channel, object)
    connection.default_channel.queue_delete("q")
    settle(connection, counters, message, Ack())
    assert (counters.handled, counters.lost_leases) == (0, 1)
