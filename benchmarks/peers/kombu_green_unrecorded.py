"""Ours without its flight recorder."""

from __future__ import annotations

from benchmarks.peers.kombu_green_amqp import worked
from benchmarks.round import Load, Measure, Sample


def work(load: Load) -> Sample:
    return worked(load, 100, "handle", app="benchmarks.applications.unrecorded")


def wait(load: Load) -> Sample:
    return worked(load, 200, "wait", app="benchmarks.applications.unrecorded")


MEASURES: dict[str, Measure] = {"recorder/work": work, "recorder/wait": wait}
