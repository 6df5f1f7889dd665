"""Every verdict is carried out on every broker."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Failure, Requeue, Retry, Verdict
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, UnsupportedOption
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.worker.settler import Counters, Settler

Q = "verdicts"
REPLIES = "verdicts.replies"
FAILURE = Failure("builtins.ValueError", "bad", "Traceback …")


@pytest.fixture(params=["memory", "sqlite", "rabbitmq"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    if request.param == "rabbitmq":
        url = str(request.getfixturevalue("rabbitmq").url)
    else:
        url = f"sqla+sqlite:///{tmp_path}/broker.db" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    with Connection(url) as made:
        yield made
        for name in (Q, f"{Q}.dead", REPLIES):
            Queue(name)(made.channel()).delete()


@pytest.fixture
def counters() -> Counters:
    return Counters()


def delivered(connection: Connection, **properties: Any) -> Message:
    queue = Queue(Q)(connection.channel())
    queue.declare()
    Producer(connection.default_channel).publish({"n": 1}, routing_key=Q, **properties)
    message = queue.get()
    assert message is not None
    return message


def settle(connection: Connection, counters: Counters, message: Message, verdict: Verdict) -> None:
    Settler(Q, lambda: connection.default_channel, counters).settle(message, verdict)


def left_in(connection: Connection, name: str) -> Message | None:
    queue = Queue(name)(connection.channel())
    queue.declare()
    return queue.get()


def eventually(connection: Connection, name: str) -> Message:
    queue = Queue(name)(connection.default_channel)
    with gevent.Timeout(60):
        while (message := queue.get()) is None:
            gevent.sleep(0.01)
    return message


def test_ack_removes_the_message(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    settle(connection, counters, message, Ack())
    assert message.acknowledged
    assert counters.handled == 1
    assert left_in(connection, Q) is None


def test_a_reply_goes_to_reply_to(connection: Connection, counters: Counters) -> None:
    Queue(REPLIES)(connection.channel()).declare()
    message = delivered(connection, reply_to=REPLIES, correlation_id="c7")
    settle(connection, counters, message, Ack(reply={"answer": 42}))
    reply = left_in(connection, REPLIES)
    assert reply is not None
    assert reply.payload == {"answer": 42}
    assert reply.properties["correlation_id"] == "c7"
    assert left_in(connection, Q) is None


@pytest.mark.parametrize("properties", [{}, {"reply_to": "nobody-waits-here"}])
def test_a_reply_without_a_queue_is_no_failure(
    connection: Connection, counters: Counters, properties: dict[str, Any]
) -> None:
    settle(connection, counters, delivered(connection, **properties), Ack(reply=1))
    assert counters.handled == 1
    assert left_in(connection, Q) is None


def test_a_reply_that_cannot_be_encoded_does_not_repeat_the_work(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, reply_to=Q)
    settle(connection, counters, message, Ack(reply=object()))
    assert counters.handled == 1
    assert left_in(connection, Q) is None


def test_the_tenth_retry_is_delivered_like_the_first(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, headers={"mine": 1})
    for attempt in range(1, 11):
        assert attempt_of(message.headers, Q) == attempt
        settle(connection, counters, message, Retry(0.05, FAILURE))
        message = eventually(connection, Q)
    assert message.payload == {"n": 1}
    assert message.headers["mine"] == 1
    assert counters.retried == 10
    assert left_in(connection, Q) is None


def test_retry_is_delivered_after_its_delay_with_its_history(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, headers={"mine": 1}, message_id="m")
    settle(connection, counters, message, Retry(0.1, FAILURE))
    assert counters.retried == 1
    assert left_in(connection, Q) is None
    again = eventually(connection, Q)
    assert again.payload == {"n": 1}
    assert again.properties["message_id"] == "m"
    assert again.headers["mine"] == 1
    assert attempt_of(again.headers, Q) == 2
    again.ack()
    connection.close()  # what was not settled would come back now
    assert left_in(connection, Q) is None


def test_requeue_does_not_count_as_an_attempt(connection: Connection, counters: Counters) -> None:
    settle(connection, counters, delivered(connection), Requeue())
    again = left_in(connection, Q)
    assert again is not None
    assert attempt_of(again.headers, Q) == 1


def test_a_dead_letter_is_complete_and_has_its_reason(connection: Connection, counters: Counters) -> None:
    message = delivered(connection, headers={"mine": 1}, expiration=60, message_id="m")
    settle(connection, counters, message, DeadLetter("it is bad", FAILURE))
    assert counters.dead_lettered == 1
    assert left_in(connection, Q) is None
    dead = left_in(connection, f"{Q}.dead")
    assert dead is not None
    assert dead.body == message.body
    assert dead.properties["message_id"] == "m"
    assert "expiration" not in dead.properties
    said = {name.removeprefix("x-kombu-green-"): value for name, value in dead.headers.items()}
    assert said["reason"] == "it is bad"
    assert said["exception"] == "builtins.ValueError"
    assert said["traceback"] == "Traceback …"
    assert (said["queue"], said["routing-key"], said["attempts"], said["mine"]) == (Q, Q, 1, 1)


@pytest.mark.parametrize("arguments", [{"x-message-ttl": 3_600_000}, {"x-queue-type": "quorum"}, {"x-max-length": 100}])
def test_a_dead_letter_queue_that_was_declared_otherwise_is_used_as_it_is(
    connection: Connection, counters: Counters, arguments: dict[str, Any]
) -> None:
    """Otherwise declaring it would fail (406) for every dead letter, and the message would be requeued for ever."""
    queue = Queue(f"{Q}.dead", queue_arguments=arguments)(connection.channel())
    if "x-message-ttl" not in arguments and not connection.as_uri().startswith("amqp"):
        with pytest.raises(UnsupportedOption):  # a store has no such queues
            queue.declare()
        return
    queue.declare()
    settle(connection, counters, delivered(connection), DeadLetter("it is bad", FAILURE))
    assert counters.dead_lettered == 1
    dead = queue.get()
    assert dead is not None
    assert dead.headers["x-kombu-green-reason"] == "it is bad"
    dead.ack()


def test_drop_deletes_the_message(connection: Connection, counters: Counters) -> None:
    settle(connection, counters, delivered(connection), Drop("on request"))
    assert counters.dropped == 1
    assert left_in(connection, Q) is None
    assert left_in(connection, f"{Q}.dead") is None


def test_a_message_settled_by_its_callback_is_left_alone(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    message.requeue()
    settle(connection, counters, message, DeadLetter("ignored"))
    assert left_in(connection, Q) is not None
    assert left_in(connection, f"{Q}.dead") is None


def test_a_message_lost_meanwhile_is_counted(connection: Connection, counters: Counters) -> None:
    message = delivered(connection)
    message.channel.close()  # type: ignore[union-attr]  # it is a whole channel
    settle(connection, counters, message, Ack())
    assert (counters.handled, counters.lost_leases) == (0, 1)
    again = eventually(connection, Q)
    assert again.delivery_info["redelivered"]


@pytest.mark.parametrize("verdict", [Retry(1), DeadLetter("bad")])
def test_a_message_whose_retry_cannot_be_published_is_requeued(
    connection: Connection, counters: Counters, verdict: Verdict
) -> None:
    def unreachable() -> Channel:
        raise ConnectionLost("the publishing connection is gone")

    message = delivered(connection)
    Settler(Q, unreachable, counters).settle(message, verdict)
    assert counters.unsettled == 1
    assert eventually(connection, Q).payload == {"n": 1}  # though the first delivery's channel is still open


def test_the_wait_before_a_requeue_grows_with_each_failed_publish(
    connection: Connection, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable() -> Channel:
        raise ConnectionLost("the publishing connection is gone")

    message, settler, lasted = delivered(connection), Settler(Q, unreachable, counters), []
    for _ in range(3):
        began = time.monotonic()
        settler.settle(message, DeadLetter("bad"))
        lasted.append(time.monotonic() - began)
        message = eventually(connection, Q)
    waits = [float(found[1]) for text in caplog.messages if (found := re.search(r"requeued in ([\d.]+) s", text))]
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert waits[0] < waits[2]
    assert all(wait < last + 0.06 for wait, last in zip(waits, lasted, strict=True)), "told, and not done"
