"""Callbacks that keep a native thread busy for three seconds."""

from __future__ import annotations

from typing import Any

from gevent.monkey import get_original
from journal import note  # type: ignore[import-not-found]  # this folder is on the worker's path alone

from kombu_green.message import Message


def handle(body: Any, message: Message) -> None:
    """The interpreter's own sleep, which lets no greenlet run."""
    note("begun", body)
    get_original("time", "sleep")(3.0)
    note("done", body)
