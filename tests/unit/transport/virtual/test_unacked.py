"""Short leases on a real store: renewed while held, lost when the store says so, let go with their connection."""

from __future__ import annotations

import gc
import uuid
from typing import Any

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import MessageStateError
from kombu_green.message import Message
from kombu_green.messaging import Producer

LEASE = 0.15
PATIENCE = 10.0


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


def connect(url: str) -> Connection:
    return Connection(url, transport_options={"lease": LEASE})


def take(connection: Connection, **declaration: Any) -> Message:
    queue = Queue("q", **declaration)(connection.channel())
    queue.declare()
    Producer(connection.channel()).publish("x", routing_key="q")
    message = queue.get()
    assert message is not None
    return message


def test_a_held_message_is_nobody_elses_however_long(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        message = take(holder)
        gevent.sleep(3 * LEASE)  # what is tested is that time passes
        assert Queue("q")(other.channel()).get() is None
        message.ack()


def test_a_lease_that_was_lost_cannot_be_settled(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        message = take(holder)
        holder.connect().store_connection.leases.close()  # type: ignore[attr-defined]  # as if this process had been stopped for a while
        again = eventually(other)
        assert again.delivery_info["redelivered"]
        with pytest.raises(MessageStateError, match="lease"):
            message.ack()
        again.ack()


def test_what_was_lost_is_not_buried_by_who_lost_it(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        grave = Queue("grave")(other.channel())
        grave.declare()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}
        message = take(holder, queue_arguments=arguments)
        other.connect().store_connection.store.drop("q")  # type: ignore[attr-defined]
        holder.connect().store_connection.leases.renew()  # type: ignore[attr-defined]  # learns that it is not held any more
        with pytest.raises(MessageStateError):
            message.reject()
        assert grave.get() is None


def test_a_connection_that_is_forgotten_keeps_nothing(url: str) -> None:
    with connect(url) as other:
        take(connect(url))
        gc.collect()
        assert eventually(other).payload == "x"


def eventually(connection: Connection) -> Message:
    queue = Queue("q")(connection.channel())
    with gevent.Timeout(PATIENCE):
        while (message := queue.get()) is None:
            gevent.sleep(0.01)
    return message
