"""Workers that keep no flight recorder, to see what it costs; for that alone, as nothing is known of their death."""

from __future__ import annotations

from benchmarks.applications import counting
from kombu_green.dispatch.registry import Callback
from kombu_green.worker.app import Worker


class Unrecorded(Worker):
    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """Nothing is recorded, and no hub watched."""


def _made(callback: Callback) -> Worker:
    app = Unrecorded("memory://")  # the ini file names the broker
    app.callback(queue="load")(callback)
    return app


handle = _made(counting.handle)
wait = _made(counting.wait)
