"""One queue's consumer over a real broker: it goes on, comes back, and gives back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import PreconditionFailed
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.testing import stress_service
from kombu_green.worker.consumer import QueueConsumer, ReconnectWaits
from kombu_green.worker.slots import Slots

PATIENCE = 10.0


class Shop:
    """A consumer of queue ``q`` whose callbacks wait for :attr:`open`, and what it did."""

    def __init__(
        self, connection: Connection, slots: int = 1, queue: Queue | None = None, prefetch: int | None = None
    ) -> None:
        self.connection = connection
        self.open = Event()
        self.handled: list[Any] = []
        self.failures: list[BaseException] = []
        self.slots = Slots("q", slots, self.handle, self.failures.append)
        self.consumer = QueueConsumer(
            queue or Queue("q"), connection, self.slots, self.failures.append, prefetch=prefetch or slots
        )

    def handle(self, message: Message) -> None:
        self.open.wait()
        self.handled.append(message.payload)
        message.ack()

    def publish(self, *bodies: Any) -> None:
        producer = Producer(self.connection)
        for body in bodies:
            producer.publish(body, routing_key="q")

    def wait_handled(self, count: int) -> None:
        with gevent.Timeout(PATIENCE):
            while len(self.handled) < count:
                gevent.sleep(0.001)

    def wait_busy(self, count: int) -> None:
        with gevent.Timeout(PATIENCE):
            while self.slots.busy < count:
                gevent.sleep(0.001)


@pytest.fixture
def shop(connection: Connection) -> Iterator[Shop]:
    made = Shop(connection)
    made.consumer.start()
    assert made.consumer.ready.wait(PATIENCE)
    yield made
    made.consumer.stop(Deadline.after(PATIENCE))


def left(connection: Connection) -> list[Any]:
    queue = Queue("q")(connection.channel())
    found = []
    while (message := queue.get(no_ack=True)) is not None:
        found.append(message.payload)
    return found


def waits_of(waits: ReconnectWaits, failures: int) -> list[float]:
    return [waits.after_failure(0) for _ in range(failures)]


def test_waits_grow_while_it_subscribes_without_progress() -> None:
    waits = ReconnectWaits(lambda: 0.0)
    found = []
    for _ in range(8):
        waits.subscribed(5)
        found.append(waits.after_failure(5))
    assert found[0] <= 0.1
    assert min(found[4:]) >= 0.8
    assert max(found) <= 2.0


def test_waits_begin_anew_after_a_handled_message() -> None:
    waits = ReconnectWaits(lambda: 0.0)
    assert waits_of(waits, 6)[-1] >= 1.0
    waits.subscribed(5)
    assert waits.after_failure(6) <= 0.1


def test_waits_begin_anew_after_ten_quiet_seconds() -> None:
    now = 0.0
    waits = ReconnectWaits(lambda: now)
    assert waits_of(waits, 6)[-1] >= 1.0
    waits.subscribed(5)
    now = 10.0
    assert waits.after_failure(5) <= 0.1
    waits.subscribed(5)
    now = 19.0
    assert waits.after_failure(5) > 0.05


def test_waits_do_not_begin_anew_while_it_cannot_subscribe() -> None:
    waits = ReconnectWaits(lambda: 0.0)
    waits.subscribed(5)
    assert waits.after_failure(6) <= 0.1
    assert waits.after_failure(9) >= 0.1


def test_a_slot_that_comes_free_takes_the_next_at_once(shop: Shop) -> None:
    shop.open.set()
    shop.publish(*range(20))
    shop.wait_handled(20)
    assert shop.handled == list(range(20))


def test_it_takes_no_more_than_it_has_slots_for(shop: Shop) -> None:
    shop.publish(1, 2, 3)
    shop.wait_busy(1)
    gevent.idle()
    assert left(shop.connection) == [2, 3]
    shop.open.set()
    shop.wait_handled(1)


def test_what_was_fetched_in_advance_goes_back_in_its_place(connection: Connection) -> None:
    made = Shop(connection, prefetch=3)
    made.consumer.start()
    assert made.consumer.ready.wait(PATIENCE)
    made.publish(1, 2, 3, 4)
    made.wait_busy(1)
    gevent.idle()
    elsewhere = Queue("q")(connection.channel())
    fourth = elsewhere.get()
    assert fourth is not None
    assert (fourth.payload, elsewhere.get()) == (4, None)
    fourth.requeue()
    made.consumer.quiet()
    made.open.set()
    made.wait_handled(1)
    made.consumer.stop(Deadline.after(PATIENCE))
    assert left(connection) == [2, 3, 4]


def test_a_lost_channel_is_made_again(shop: Shop) -> None:
    shop.open.set()
    channel = shop.consumer._channel
    assert channel is not None
    channel.close()
    shop.publish("after")
    shop.wait_handled(1)
    assert shop.failures == []


def test_a_lost_connection_is_made_again(shop: Shop) -> None:
    shop.open.set()
    shop.connection.close()
    shop.publish("after")
    shop.wait_handled(1)
    assert shop.failures == []


def test_a_queue_that_was_deleted_is_declared_again(shop: Shop) -> None:
    shop.open.set()
    Queue("q")(shop.connection.channel()).delete()
    shop.consumer.ready.clear()
    assert shop.consumer.ready.wait(PATIENCE)
    shop.publish("after")
    shop.wait_handled(1)
    assert shop.failures == []


def test_quiet_takes_nothing_more_and_what_runs_finishes(shop: Shop) -> None:
    shop.publish(1)
    shop.wait_busy(1)
    shop.consumer.quiet()
    shop.publish(2)
    shop.open.set()
    shop.wait_handled(1)
    assert shop.slots.idle.wait(PATIENCE)
    assert left(shop.connection) == [2]


def test_stopping_gives_back_what_runs_in_its_place(shop: Shop) -> None:
    shop.publish(1, 2)
    shop.wait_busy(1)
    shop.consumer.stop(Deadline.after(PATIENCE))
    assert shop.handled == []
    assert left(shop.connection) == [1, 2]


def test_what_was_given_and_not_begun_goes_back(connection: Connection) -> None:
    made = Shop(connection, slots=2)
    made.consumer.start()
    assert made.consumer.ready.wait(PATIENCE)
    queue = Queue("q")(connection.channel())
    made.publish(1)
    message = queue.get()
    if message is not None:  # else a slot has it, which is just as well
        made.slots.give(message)
    made.consumer.quiet()
    made.consumer.stop(Deadline.after(PATIENCE))
    assert left(connection) == [1]


def test_a_queue_that_cannot_be_declared_is_told(connection: Connection) -> None:
    Queue("q", message_ttl=5)(connection.channel()).declare()
    made = Shop(connection)
    made.consumer.start()
    with gevent.Timeout(PATIENCE):
        while not made.failures:
            gevent.sleep(0.001)
    assert isinstance(made.failures[0], PreconditionFailed)
    made.consumer.stop(Deadline.after(PATIENCE))


def test_it_starts_and_stops_as_every_service() -> None:
    with Connection(f"memory://{__name__}") as connection:
        stress_service(lambda: Shop(connection).consumer)
