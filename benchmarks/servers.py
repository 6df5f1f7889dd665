"""The servers that workloads run against: each is started for one run, and ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.rabbitmq import RabbitMQ, missing

__all__ = ["rabbitmq"]


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """The tests' own RabbitMQ: on free ports of the loopback, one scheduler, its data in *folder*."""
    reason = missing()
    if reason is not None:
        raise RuntimeError(f"this workload needs RabbitMQ: {reason}")
    server = RabbitMQ(folder / "rabbitmq")
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
