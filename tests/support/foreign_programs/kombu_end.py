"""A program written with kombu alone: ``kombu_end.py URL``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import amqp
from kombu import Connection, Consumer, Exchange, Producer, Queue, binding

from tests.support.foreign_programs.answering import answer

#: seconds for what should take a fraction of one
PATIENCE = 30.0

connection = Connection(sys.argv[1])
confirming = Connection(sys.argv[1], transport_options={"confirm_publish": True})


def exchange_of(described: dict[str, Any] | None) -> Any:
    return Exchange(**described) if described else None


def queue_of(described: dict[str, Any]) -> Any:
    values = dict(described)
    exchange = exchange_of(values.pop("exchange", None))
    bindings = [
        binding(exchange_of(each["exchange"]), each["routing_key"], arguments=each.get("arguments"))
        for each in values.pop("bindings", ())
    ]
    return Queue(values.pop("name"), exchange, bindings=bindings or None, **values)


def declare(queue: dict[str, Any] | None = None, exchange: dict[str, Any] | None = None) -> None:
    """Over a channel of its own, since one that fails is closed."""
    with connection.channel() as channel:
        if exchange is not None:
            exchange_of(exchange)(channel).declare()
        if queue is not None:
            queue_of(queue)(channel).declare()


def bind_exchange(destination: dict[str, Any], source: dict[str, Any], routing_key: str) -> None:
    with connection.channel() as channel:
        exchange_of(destination)(channel).bind_to(exchange_of(source), routing_key)


def publish(body: Any, routing_key: str, exchange: str = "", **options: Any) -> None:
    Producer(connection).publish(body, routing_key=routing_key, exchange=exchange, **options)


class RawMessage(amqp.Message):  # type: ignore[misc]  # py-amqp has no types
    """Its properties are bytes that somebody else has made."""

    def __init__(self, body: bytes, raw: bytes) -> None:
        super().__init__(body)
        self.raw = raw

    def _serialize_properties(self) -> bytes:
        return self.raw


def publish_raw(routing_key: str, body: bytes, properties: bytes) -> bool:
    """Whether the broker takes a message with such *properties*; it closes the connection when it does not."""
    if confirming.connected:
        confirming.close()
    try:
        confirming.default_channel.basic_publish(RawMessage(body, properties), routing_key=routing_key)
    except (*confirming.connection_errors, *confirming.channel_errors, UnicodeError):  # it may quote what it got
        return False
    return True


def take(queue: str, accept: Iterable[str] | None = None, reject: bool = False) -> dict[str, Any]:
    """The next message, settled: what a callback, or else ``on_decode_error``, got to see."""
    found: list[dict[str, Any]] = []

    def settle(message: Any, seen: dict[str, Any]) -> None:
        if found:
            message.requeue()  # it came while the consumer was being cancelled
            return
        found.append({**seen, **described(message)})
        if reject:
            message.reject()
        else:
            message.ack()

    consume(
        queue,
        lambda: bool(found),
        callbacks=[lambda body, message: settle(message, {"body": body})],
        on_decode_error=lambda message, error: settle(message, {"error": f"{type(error).__name__}: {error}"}),
        accept=accept,
    )
    return found[0]


def described(message: Any) -> dict[str, Any]:
    properties = dict(message.properties)
    for name in ("content_type", "content_encoding", "application_headers"):
        properties.pop(name, None)
    return {
        "raw": message.body,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": message.headers,
        "properties": properties,
        "redelivered": message.delivery_info["redelivered"],
    }


def consume(queue: str, enough: Callable[[], bool], **options: Any) -> None:
    with connection.channel() as channel:
        consumer = Consumer(channel, [Queue(queue, no_declare=True)], auto_declare=False, prefetch_count=1, **options)
        with consumer:
            while not enough():
                connection.drain_events(timeout=PATIENCE)


def echo(queue: str, count: int) -> None:
    """Answer *count* requests with what they hold."""
    done: list[Any] = []

    def reply(body: Any, message: Any) -> None:
        asked = message.properties
        publish(body, routing_key=asked["reply_to"], correlation_id=asked["correlation_id"])
        message.ack()
        done.append(body)

    consume(queue, lambda: len(done) >= count, callbacks=[reply])


def ask(queue: str, body: Any, correlation_id: str) -> tuple[Any, str]:
    """The answer to a request, and its correlation id; the queue of answers is exclusive and named by the broker."""
    with connection.channel() as channel:
        answers = Queue("", exclusive=True)(channel)
        answers.declare()
        publish(body, routing_key=queue, reply_to=answers.name, correlation_id=correlation_id)
        found: list[tuple[Any, str]] = []

        def receive(answer: Any, message: Any) -> None:
            found.append((answer, message.properties["correlation_id"]))

        with Consumer(channel, [answers], auto_declare=False, callbacks=[receive], no_ack=True):
            while not found:
                connection.drain_events(timeout=PATIENCE)
    return found[0]


def take_until(queue: str, last: Any) -> list[Any]:
    """The bodies that came, without *last*, which ends it."""
    bodies: list[Any] = []

    def enough() -> bool:
        return bool(bodies) and bodies[-1] == last

    def receive(body: Any, message: Any) -> None:
        if enough():
            message.requeue()  # it came while the consumer was being cancelled
            return
        bodies.append(body)
        message.ack()

    consume(queue, enough, callbacks=[receive])
    return bodies[:-1]


def simple_put(name: str, body: Any) -> None:
    with connection.SimpleQueue(name) as queue:
        queue.put(body)


def simple_get(name: str) -> Any:
    with connection.SimpleQueue(name) as queue:
        message = queue.get(timeout=PATIENCE)
        message.ack()
        return message.payload


if __name__ == "__main__":
    operations = (
        declare, bind_exchange, publish, publish_raw, take, echo, ask, take_until, simple_put, simple_get,
    )  # fmt: skip
    answer({operation.__name__: operation for operation in operations})
