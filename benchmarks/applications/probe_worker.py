"""The fewest lines that are a worker: a reader, greenlets that wait for a message each, and acks told together.

``python -m benchmarks.applications.probe_worker URL SLOTS CALLBACK``
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 patching comes first
import sys
from collections.abc import Callable
from typing import Any

import gevent
import orjson
from gevent import get_hub
from gevent.queue import SimpleQueue

from benchmarks.applications import counting
from benchmarks.peers.probe import Probe, ack, consuming


class Worker:
    def __init__(self, url: str, slots: int, callback: Callable[[Any, Any], None]) -> None:
        self.callback = callback
        self.given: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        self.held: dict[int, None] = {}
        self.done: list[int] = []
        self.probe: Probe = consuming(url, slots)
        self.slots = [gevent.spawn(self.work) for _ in range(slots)]

    def run(self) -> None:
        payloads = list(self.probe.came)
        while True:
            for tag, body in self.probe.deliveries(payloads):
                self.held[tag] = None
                self.given.put((tag, body))
            payloads = self.probe.read()

    def work(self) -> None:
        while True:
            tag, body = self.given.get()
            self.callback(orjson.loads(body), None)
            del self.held[tag]
            if not self.done:
                get_hub().loop.run_callback(self.tell)
            self.done.append(tag)

    def tell(self) -> None:
        """At the end of the hub's turn: one ack for all that are older than what still runs, one for each other."""
        done, self.done = self.done, []
        oldest = next(iter(self.held), max(done) + 1)
        prefix = [tag for tag in done if tag < oldest]
        frames = [ack(max(prefix), multiple=True)] if prefix else []
        frames += [ack(tag, multiple=False) for tag in done if tag > oldest]
        self.probe.socket.send(b"".join(frames))  # a few bytes, which the socket takes


if __name__ == "__main__":
    url, slots, callback = sys.argv[1:]
    Worker(url, int(slots), getattr(counting, callback)).run()
