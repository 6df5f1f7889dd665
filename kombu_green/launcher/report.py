"""What a launcher tells of itself and its processes: numbers and short words, as JSON can hold them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kombu_green.launcher.ending import Mode
from kombu_green.launcher.place import Place
from kombu_green.launcher.recycling import resident
from kombu_green.launcher.tenant import Tenant
from kombu_green.plugins import load

__all__ = ["report"]


def report(
    places: Iterable[Place],
    *,
    file: Path | None,
    mode: Mode,
    born: float,
    messages: Mapping[str, int],
) -> dict[str, Any]:
    """The whole document.

    ``pid version file uptime mode ready messages processes``.  *messages* counts those that deaths were blamed on.
    Times are seconds, sizes bytes; *born* is on the monotonic clock.  ``ready`` is true while the launcher runs and
    every place has a process that serves.
    """
    places = list(places)
    return {
        "pid": os.getpid(),
        "version": load("kombu_green:__version__"),
        "file": None if file is None else str(file.resolve()),
        "uptime": _since(born),
        "mode": mode.value,
        "ready": mode is Mode.RUNNING and all(_serves(place) for place in places if not place.retired),
        "messages": dict(messages),
        "processes": [line for place in places for line in _lines(place)],
    }


def _serves(place: Place) -> bool:
    return place.tenant is not None and place.tenant.vitals.serving


def _lines(place: Place) -> Iterable[dict[str, Any]]:
    """One for each process of *place*; one without a process when there is none."""
    ends = {"restarts": place.restarts, "last_end": place.last_end}
    tenants = list(place.tenants())
    if not tenants:
        due = None if place.start_at is None else max(0.0, round(place.start_at - time.monotonic(), 1))
        yield {"place": place.number, "pid": None, "phase": "waiting", "starts_in": due, **ends}
    for tenant in tenants:
        yield {"place": place.number, "part": place.part_of(tenant), **_process(tenant), **ends}


def _process(tenant: Tenant) -> dict[str, Any]:
    vitals, counters = tenant.vitals, tenant.counters
    return {
        "pid": tenant.process.pid,
        "phase": str(vitals.state),
        "age": _since(vitals.born),
        "heartbeat_age": None if vitals.heard is None else _since(vitals.heard),
        "running": counters.running,
        "handled": counters.handled,
        "retried": counters.retried,
        "dead_lettered": counters.dead_lettered,
        "memory": resident(tenant.process.pid),
    }


def _since(then: float) -> float:
    return round(max(0.0, time.monotonic() - then), 1)
