"""The workloads by name."""

from __future__ import annotations

from benchmarks.workloads.amqp import AMQP
from benchmarks.workloads.memory import MEMORY
from benchmarks.workloads.start import START
from benchmarks.workloads.stores import STORES

__all__ = ["WORKLOADS"]

WORKLOADS = {workload.name: workload for workload in (MEMORY, START, STORES, *AMQP)}
