"""Ours without its flight recorder."""

from __future__ import annotations

from benchmarks.peers import kombu_green
from benchmarks.peers.kombu_green_amqp import worked
from benchmarks.round import Load, Measure, Sample

APP = "benchmarks.applications.unrecorded"


def start(load: Load) -> Sample:
    return kombu_green.start(load, app=f"{APP}:handle")


def work(load: Load) -> Sample:
    return worked(load, 100, "handle", app=APP)


def wait(load: Load) -> Sample:
    return worked(load, 200, "wait", app=APP)


MEASURES: dict[str, Measure] = {"start": start, "amqp-worker": work, "amqp-wait/slots": wait}
