"""RabbitMQ is killed and started under load: all confirmed messages are handled, and the worker reconnects."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kombu_green import Connection, Producer, Queue
from kombu_green.exceptions import OperationalError
from tests.support.fleet import RabbitMQFleet, wait_for_more
from tests.support.launcher import Launched, until
from tests.support.rabbitmq import RabbitMQ, missing

RESTARTS = 5
BACK_WITHIN = 5.0  # seconds from the broker being back to consuming again


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A RabbitMQ of this test, which is killed."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    made = RabbitMQ(tmp_path / "server")
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Publisher(threading.Thread):
    """Publishes ids until it is stopped, and keeps those that the broker has confirmed."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.queue = queue
        self.confirmed: list[int] = []
        self.errors = 0
        self._enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._enough.is_set():
            try:
                with Connection(self.url) as connection:
                    producer = Producer(connection)
                    producer.maybe_declare(Queue(self.queue))
                    while not self._enough.is_set():
                        number += 1  # an id that failed is never used again: whether the broker has it is unknown
                        producer.publish({"id": number}, routing_key=self.queue, mandatory=True, timeout=5)
                        self.confirmed.append(number)
                        self._enough.wait(0.005)
            except (OperationalError, TimeoutError):
                self.errors += 1
                self._enough.wait(0.1)

    def stop(self) -> None:
        self._enough.set()
        self.join(30)
        assert not self.is_alive()


@pytest.mark.timeout(500)
def test_no_confirmed_message_is_lost_when_the_broker_is_killed(
    tmp_path: Path, server: RabbitMQ, record_property: Callable[[str, object], None]
) -> None:
    fleet = RabbitMQFleet(tmp_path, server)
    publisher = Publisher(fleet.url, fleet.queue)
    waits = []
    with fleet.launch(longest=0.05) as launched:
        launched.wait_for("ready", count=2)
        publisher.start()
        for _ in range(RESTARTS):
            wait_for_more(fleet, 100)
            server.kill()
            server.start()
            waits.append(seconds_until_consuming(fleet))
        publisher.stop()
        confirmed = set(publisher.confirmed)
        until(lambda: confirmed <= set(fleet.handled()), "all that was confirmed is handled", patience=60)
        until(lambda: not fleet.waiting(), "nothing waits in any queue")
        assert running_since_the_start(launched), "a worker process was replaced: it did not come back by itself"
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    assert not fleet.left()
    assert publisher.errors, "the publisher did not notice that the broker was killed"
    assert max(waits) < BACK_WITHIN
    record_property("confirmed", len(confirmed))
    record_property("seconds until consuming again", [round(wait, 1) for wait in waits])


def seconds_until_consuming(fleet: RabbitMQFleet) -> float:
    """Seconds from the broker's restart to the first callback."""
    back, begun = time.monotonic(), fleet.begun()
    until(lambda: fleet.begun() > begun, "consuming again")
    return time.monotonic() - back


def running_since_the_start(launched: Launched) -> bool:
    launched.catch_up()
    return len(launched.children()) == 2
