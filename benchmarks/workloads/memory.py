"""Publish, consume and ack on the memory transport: what the library itself costs, with no broker to wait for.

A thousand messages are published, then consumed, and so on: each body is encoded when it is published and decoded
before its callback is called, and each message is acked by itself.
"""

from __future__ import annotations

from benchmarks.contract import Case, Workload

__all__ = ["MEMORY"]

MEMORY = Workload(
    "memory",
    (
        Case(
            "publish, consume and ack on the memory transport",
            peers=("kombu_green", "kombu-gevent", "kombu"),
            messages=20_000,
            warm_up=1_000,
        ),
    ),
)
