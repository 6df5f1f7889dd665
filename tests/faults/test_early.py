"""Early acks, when connections end, processes die or the worker stops."""

from __future__ import annotations

import random
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.dispatch.middleware import MiddlewareStack
from kombu_green.dispatch.registry import Registry
from kombu_green.entity import Queue
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.republish import dead_queue
from kombu_green.testing import FaultProxy, Way
from kombu_green.worker.connections import Connections
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.pipeline import Pipeline
from kombu_green.worker.redelivery_gate import RedeliveryGate
from kombu_green.worker.settler import Counters
from kombu_green.worker.spec import ConsumerSpec
from tests.support.fleet import Fleet
from tests.support.launcher import until
from tests.support.rabbitmq import RabbitMQ

MESSAGES = 300
CUTS = 12
SLOTS = 4
PATIENCE = 60.0


@pytest.mark.parametrize("seed", [1, 2])
def test_cut_connections_lose_no_early_acked_message_and_begin_none_twice(rabbitmq: RabbitMQ, seed: int) -> None:
    """No message is begun twice or lost: one whose ack is uncertain is dead-lettered."""
    chance, name = random.Random(seed), f"early-{uuid.uuid4().hex[:8]}"
    begun: Counter[int] = Counter()

    def handle(body: Any, message: Message) -> None:
        begun[body["id"]] += 1
        gevent.sleep(chance.uniform(0, 0.02))

    with Connection(rabbitmq.url) as steady, FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        outside = steady.default_channel
        for each in (name, dead_queue(name)):
            outside.queue_declare(each)
        Producer(steady).publish_many([{"id": number} for number in range(MESSAGES)], routing_key=name)
        cut = Connection(rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port)))
        consumer = _consumer(name, cut, steady, handle)
        consumer.start()
        for _ in range(CUTS):
            assert consumer.ready.wait(PATIENCE)
            gevent.sleep(chance.uniform(0, 0.02))
            consumer.ready.clear()
            proxy.cut_after(chance.randint(1, 300), chance.choice(list(Way)))
        unanswered: set[int] = set()
        with gevent.Timeout(PATIENCE):
            while len(unanswered | set(begun)) < MESSAGES or outside.queue_declare(name, passive=True).message_count:
                gevent.sleep(0.005)
                unanswered |= {message.payload["id"] for message in _taken(outside, dead_queue(name))}
        consumer.stop(Deadline.after(PATIENCE))
        cut.close()
        assert not [number for number, times in begun.items() if times > 1]
        for each in (name, dead_queue(name)):
            outside.queue_delete(each)


def _consumer(name: str, consuming: Connection, publishing: Connection, callback: Any) -> QueueConsumer:
    registry, connections = Registry(), Connections(consuming)
    registry.register(callback, queue=name)
    connections._publishing = publishing  # one that the proxy does not cut
    pipeline = Pipeline(
        registry, connections, Counters(), RedeliveryGate(), None, MiddlewareStack(), lambda error: None, lambda: None
    )
    return pipeline.consumer(ConsumerSpec(Queue(name), concurrency=SLOTS, ack="early"))


def _taken(channel: Channel, queue: str) -> Iterator[Message]:
    while (message := channel.basic_get(queue, no_ack=True)) is not None:
        yield message


def test_only_the_early_acked_message_that_ends_its_process_is_lost(fleet: Fleet) -> None:
    """It is not begun again, whether it is blamed or not, and not parked."""
    fleet.publish(range(6), headers={2: {"poison": "leave"}}, named=True)
    settings = ["consumer:jobs.ack=early", "consumer:jobs.callback=poison:handle"]
    with fleet.launch(processes=1, concurrency=1, longest=0.1, settings=settings) as launched:
        until(lambda: set(fleet.handled()) == {0, 1, 3, 4, 5}, "all others handled")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    assert [fleet.begun(number) for number in range(6)] == [1] * 6
    assert fleet.waiting() == 0


def test_an_early_acked_message_unfinished_at_a_stop_is_published_again(fleet: Fleet) -> None:
    fleet.publish(range(5))
    settings = ["consumer:jobs.ack=early"]
    how: dict[str, Any] = {"processes": 1, "concurrency": 3, "longest": 600.0, "callback": "linger"}
    with fleet.launch(**how, graceful_timeout="0s", settings=settings) as launched:
        until(lambda: fleet.begun() == 3, "as many begun as there are slots")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 1
        assert "lost" not in launched.log()
    assert fleet.handled() == {}
    assert fleet.left() == set(range(5))
