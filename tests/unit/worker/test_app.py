"""A worker in code."""

from __future__ import annotations

from kombu_green.clock import Deadline
from kombu_green.worker.app import Worker


def test_stop_takes_a_deadline_or_seconds() -> None:
    worker = Worker(f"memory://{__name__}")
    worker.stop(5)
    worker.stop(0.5)
    worker.stop(Deadline.after(5))
    assert worker.released == 0
