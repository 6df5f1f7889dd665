"""A memory alarm of RabbitMQ blocks publishers; consumers go on, and publishers recover after it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kombu_green import Connection, Producer
from kombu_green.exceptions import BrokerBlocked
from tests.support.fleet import RabbitMQFleet, wait_for_more
from tests.support.launcher import until
from tests.support.rabbitmq import RabbitMQ

MESSAGES = 400
STUMBLING = {number for number in range(MESSAGES) if number % 20 == 0}


@pytest.fixture
def alarm(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """The shared server; its alarm is cleared afterwards."""
    yield rabbitmq
    rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1GB")


@pytest.mark.timeout(300)
def test_consumers_go_on_while_a_memory_alarm_blocks_publishers(tmp_path: Path, alarm: RabbitMQ) -> None:
    fleet = RabbitMQFleet(tmp_path, alarm)
    fleet.publish(range(MESSAGES))
    hold = tmp_path / "the alarm is on"
    # more slots than messages that will wait for the broker to take their retry
    with fleet.launch(longest=0.5, concurrency=20, callback="stumble", environ={"HOLD": str(hold)}) as launched:
        wait_for_more(fleet, 40)
        alarm.control("set_vm_memory_high_watermark", "absolute", "1MB")
        with pytest.raises(BrokerBlocked):
            publish_on_and_on(fleet.url)
        hold.touch()
        plain = set(range(MESSAGES)) - STUMBLING
        until(lambda: plain <= set(fleet.handled()), "all that needs no publishing is handled", patience=60)
        # their acks arrived: nothing but what waits for its retry is left at the broker
        until(lambda: messages(alarm, fleet.queue) <= len(STUMBLING), "acks arrive while publishers are stopped")
        assert not set(fleet.handled()) >= STUMBLING, "no retry was held up"
        alarm.control("set_vm_memory_high_watermark", "absolute", "1GB")
        until(lambda: set(range(MESSAGES)) <= set(fleet.handled()), "all recovers", patience=60)
        fleet.publish([MESSAGES])
        until(lambda: MESSAGES in fleet.handled(), "publishers, too")
        until(lambda: messages(alarm, fleet.queue) == 0, "nothing is left")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    assert not fleet.left()


def publish_on_and_on(url: str) -> None:
    """The first few may be published before the broker reports the alarm."""
    with Connection(url) as connection:
        producer = Producer(connection)
        for number in range(1000):
            producer.publish({"id": -number}, routing_key="nowhere", timeout=1)


def messages(server: RabbitMQ, queue: str) -> int:
    """The number of ready and unacked messages of *queue*."""
    rows = (line.split("\t") for line in server.control("list_queues", "name", "messages").splitlines())
    return sum(int(row[1]) for row in rows if row[0] == queue)
