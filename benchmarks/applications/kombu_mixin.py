"""A worker as kombu's documentation builds one, under gevent.

``python -m benchmarks.applications.kombu_mixin URL QUEUE``
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 patching comes first
import sys
from typing import Any

from kombu import Connection, Queue
from kombu.mixins import ConsumerMixin

from benchmarks.applications.counting import MARKS


class Worker(ConsumerMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection = connection
        self.queue = queue

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        return [consumer([self.queue], callbacks=[self.handle], prefetch_count=10)]

    def handle(self, body: Any, message: Any) -> None:
        MARKS.mark()
        message.ack()


if __name__ == "__main__":
    url, name = sys.argv[1:]
    with Connection(url) as connection:
        Worker(connection, Queue(name, routing_key=name)).run()
