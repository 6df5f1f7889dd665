"""Early acks on every broker: messages are taken only for free slots, and lost only if their process dies."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.dispatch.history import attempt_of, origin_of
from kombu_green.dispatch.middleware import MiddlewareStack
from kombu_green.dispatch.outcome import Ack, DeadLetter, Requeue
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Registry
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import BrokerBlocked, ConnectionLost
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.republish import origin_in
from kombu_green.retry import Backoff
from kombu_green.worker.connections import Connections
from kombu_green.worker.pipeline import Pipeline
from kombu_green.worker.redelivery_gate import RedeliveryGate
from kombu_green.worker.settler import Counters
from kombu_green.worker.spec import ConsumerSpec

PATIENCE = 20.0
SOON = RetryPolicy(attempts=3, backoff=Backoff(first=0.01, ceiling=0.01))


class SometimesUnreachable(Connections):
    """Connections whose publishing fails as often as *shop* says."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.connection)
        self._shop = shop

    def channel(self) -> Channel:
        if self._shop.unreachable:
            self._shop.unreachable -= 1
            raise ConnectionLost("the publishing connection is gone")
        return self.consuming.default_channel


class Shop:
    """A consumer with two slots; callbacks note what they begin, and wait for :attr:`open`."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection = connection
        self.queue = queue
        self.open = Event()
        self.begun: list[Any] = []
        self.messages: list[Message] = []
        self.act: Callable[[Message], object] = lambda message: None
        self.offload = False
        self.unreachable = 0  # how often publishing fails from now on
        self.policy = SOON
        self.counters = Counters()
        self.failures: list[BaseException] = []

    def start(self) -> None:
        registry = Registry()
        registry.register(self.handle, queue=self.queue.name)
        spec = ConsumerSpec(self.queue, concurrency=2, policy=self.policy, offload=self.offload, ack="early")
        pipeline = Pipeline(
            registry,
            SometimesUnreachable(self),
            self.counters,
            RedeliveryGate(),
            None,
            MiddlewareStack(),
            self.failures.append,
            lambda: None,
        )
        self.consumer = pipeline.consumer(spec)
        self.slots = self.consumer.slots
        self.consumer.start()
        assert self.consumer.ready.wait(PATIENCE)

    def handle(self, body: Any, message: Message) -> object:
        self.begun.append(body)
        self.messages.append(message)
        self.open.wait()
        return self.act(message)

    def publish(self, *bodies: Any, **properties: Any) -> None:
        producer = Producer(self.connection)
        for body in bodies:
            producer.publish(body, **{"routing_key": self.queue.name, **properties})

    def wait_begun(self, count: int) -> None:
        wait(lambda: len(self.begun) >= count)

    def wait_idle(self) -> None:
        assert self.slots.idle.wait(PATIENCE)

    def left(self, suffix: str = "") -> list[Message]:
        """What nobody has, without taking it."""
        channel = self.connection.channel()
        queue = Queue(self.queue.name + suffix)(channel)
        queue.declare()
        found = []
        while (message := queue.get()) is not None:
            found.append(message)
        channel.close()
        return found


def wait(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(PATIENCE):
        while not condition():
            gevent.sleep(0.001)


@pytest.fixture(params=["memory", "sqlite", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "rabbitmq":
        return str(request.getfixturevalue("rabbitmq").url)
    return f"sqla+sqlite:///{tmp_path}/broker.db" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    with Connection(url) as connection:
        made = Shop(connection, Queue(f"early-{uuid.uuid4().hex[:8]}"))
        yield made
        made.consumer.stop(Deadline.after(PATIENCE))
        for name in (made.queue.name, f"{made.queue.name}.dead"):
            Queue(name)(connection.channel()).delete()
        assert made.failures == []


def test_messages_are_taken_only_for_free_slots(shop: Shop) -> None:
    shop.start()
    shop.publish(1, 2, 3, 4, 5)
    shop.wait_begun(2)
    assert shop.connection.default_channel.queue_declare(shop.queue.name, passive=True).message_count == 3
    shop.open.set()
    shop.wait_begun(5)
    shop.wait_idle()
    assert shop.begun == [1, 2, 3, 4, 5]
    assert (shop.counters.handled, shop.counters.lost_leases, shop.counters.unsettled) == (5, 0, 0)
    assert [bool(message.delivery_info["redelivered"]) for message in shop.messages] == [False] * 5


def test_after_a_lost_channel_running_messages_stay_acked_and_busy_slots_take_none(shop: Shop) -> None:
    shop.start()
    shop.publish(1, 2, 3)
    shop.wait_begun(2)
    before = shop.consumer._channel
    assert before is not None
    before.close()
    wait(lambda: shop.consumer._channel is not before and shop.consumer.ready.is_set())
    assert [message.payload for message in shop.left()] == [3]
    shop.open.set()
    shop.wait_begun(3)
    shop.wait_idle()
    assert shop.begun == [1, 2, 3]
    assert shop.left() == []


@pytest.mark.parametrize("active", [True, False])
def test_a_consumer_that_cannot_be_stopped_or_resumed_is_created_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, active: bool
) -> None:
    shop.start()
    channel = shop.consumer._channel
    assert channel is not None
    flow = channel.flow

    def fails(wanted: bool) -> None:
        if wanted is active:
            raise BrokerBlocked("it takes nothing")
        flow(wanted)

    monkeypatch.setattr(channel, "flow", fails)
    shop.publish(1, 2, 3, 4)
    wait(lambda: len(shop.begun) == 2 and shop.slots.busy == 2)
    shop.open.set()
    shop.wait_begun(4)
    shop.wait_idle()
    assert shop.begun == [1, 2, 3, 4]
    assert shop.consumer._channel is not channel


def test_a_failed_message_is_retried_with_its_history(shop: Shop) -> None:
    def fail(message: Message) -> None:
        if attempt_of(message.headers, shop.queue.name) < 3:
            raise ValueError("not yet")

    shop.act = fail
    shop.open.set()
    shop.start()
    shop.publish(1)
    shop.wait_begun(3)
    wait(lambda: shop.counters.handled == 1)
    assert shop.counters.retried == 2
    assert (shop.left(), shop.left(".dead")) == ([], [])


def test_requeue_publishes_the_message_unchanged_as_the_same_attempt(shop: Shop) -> None:
    shop.queue = Queue(shop.queue.name, Exchange("early-topics", "topic"), "video.*")
    told = iter([ValueError("once"), Requeue(), Ack()])

    def act(message: Message) -> object:
        answer = next(told)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shop.act = act
    shop.open.set()
    shop.start()
    shop.publish(1, exchange="early-topics", routing_key="video.mp4", headers={"mine": 1})
    shop.wait_begun(3)
    wait(lambda: shop.counters.handled == 1)
    name = shop.queue.name
    assert [attempt_of(message.headers, name) for message in shop.messages] == [1, 2, 2]
    assert [message.headers["mine"] for message in shop.messages] == [1, 1, 1]
    first = [origin_of(message.headers, origin_in(name, message)) for message in shop.messages]
    assert [(origin.exchange, origin.routing_key) for origin in first] == [("early-topics", "video.mp4")] * 3
    assert shop.left() == []


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize(("verb", "begun", "dead"), [("ack", 1, 0), ("reject", 1, 1), ("requeue", 2, 0)])
def test_ack_reject_and_requeue_in_a_callback_take_effect_at_its_end(
    shop: Shop, verb: str, begun: int, dead: int, offload: bool
) -> None:
    def act(message: Message) -> object:
        if len(shop.begun) == 1:
            getattr(message, verb)()
            raise ValueError("after that, it counts for nothing")
        return None

    shop.act, shop.offload = act, offload
    shop.open.set()
    shop.start()
    shop.publish(1)
    shop.wait_begun(begun)
    shop.wait_idle()
    assert len(shop.begun) == begun
    assert [message.headers["x-kombu-green-reason"] for message in shop.left(".dead")] == (
        ["the callback rejected it"] * dead
    )


def test_a_failed_publish_is_tried_again(shop: Shop) -> None:
    shop.act = lambda message: DeadLetter("bad")
    shop.open.set()
    shop.start()
    shop.unreachable = 2
    shop.publish(1)
    wait(lambda: shop.counters.dead_lettered == 1)
    assert shop.counters.unsettled == 2
    assert [message.payload for message in shop.left(".dead")] == [1]


def test_an_unfinished_message_goes_back_to_its_queue(shop: Shop) -> None:
    shop.start()
    shop.publish(1, 2, 3)
    shop.wait_begun(2)
    shop.consumer.quiet()
    shop.consumer.stop(Deadline.after(PATIENCE))
    back = shop.left()
    assert sorted(message.payload for message in back) == [1, 2, 3]
    assert {attempt_of(message.headers, shop.queue.name) for message in back} == {1}


def test_an_unfinished_message_with_one_attempt_is_not_begun_again(shop: Shop) -> None:
    shop.policy = RetryPolicy(attempts=1)
    shop.start()
    shop.publish(1)
    shop.wait_begun(1)
    shop.consumer.quiet()
    shop.consumer.stop(Deadline.after(PATIENCE))
    assert shop.left() == []
    (dead,) = shop.left(".dead")
    assert "interrupted" in dead.headers["x-kombu-green-reason"]


def test_a_message_lost_before_its_ack_is_not_begun(shop: Shop) -> None:
    shop.start()
    shop.publish(1)
    shop.wait_begun(1)
    switch = shop.consumer._switch
    assert switch is not None
    with gevent.Timeout(PATIENCE):
        switch._one_at_a_time.acquire()  # the next one waits for its turn to be acked
    shop.publish(2)
    wait(lambda: shop.slots.busy == 2)
    channel = shop.consumer._channel
    assert channel is not None
    channel.close()
    switch._one_at_a_time.release()
    shop.wait_begun(2)
    shop.open.set()
    shop.wait_idle()
    wait(lambda: shop.counters.handled == 2)
    assert shop.begun == [1, 2]
    assert shop.counters.lost_leases == 1
    assert shop.messages[1].delivery_info["redelivered"]
