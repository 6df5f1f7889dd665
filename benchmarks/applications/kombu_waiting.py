"""kombu under gevent, with a greenlet for each message that waits, from a pool of 200.

``python -m benchmarks.applications.kombu_waiting URL QUEUE``
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 patching comes first
import sys
from typing import Any

from gevent.pool import Pool
from kombu import Connection, Queue
from kombu.mixins import ConsumerMixin

from benchmarks.applications.counting import wait

SLOTS = 200


class Worker(ConsumerMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection = connection
        self.queue = queue
        self.pool = Pool(SLOTS)

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        return [consumer([self.queue], callbacks=[self.handle], prefetch_count=SLOTS)]

    def handle(self, body: Any, message: Any) -> None:
        self.pool.spawn(self.work, body, message)

    def work(self, body: Any, message: Any) -> None:
        wait(body, message)
        message.ack()


if __name__ == "__main__":
    url, name = sys.argv[1:]
    with Connection(url) as connection:
        Worker(connection, Queue(name, routing_key=name)).run()
