"""Callbacks that write down, one line each and at once, what they begin and what they have done."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import gevent

from kombu_green.dispatch.history import attempt_of
from kombu_green.message import Message

_file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_longest = float(os.environ.get("LONGEST", "0"))
_hold = os.environ.get("HOLD")


def note(word: str, body: Any) -> None:
    os.write(_file, f"{word} {body['id']} {os.getpid()} {time.time():.3f}\n".encode())


def stumble(body: Any, message: Message) -> None:
    """As :func:`handle`, but every twentieth fails at its first attempt.

    The first forty messages are handled at once, the others when there is the file that ``HOLD`` names.
    """
    while body["id"] >= 40 and _hold and not os.path.exists(_hold):
        gevent.sleep(0.02)
    if body["id"] % 20 == 0 and attempt_of(message.headers, message.delivery_info["routing_key"]) == 1:
        note("begun", body)
        raise ValueError("stumbled")
    handle(body, message)


def overstay(body: Any, message: Message) -> None:
    """Takes its time when a message is delivered first, and none when it is delivered again."""
    note("begun", body)
    if not message.delivery_info["redelivered"]:
        gevent.sleep(_longest)
    note("done", body)


def linger(body: Any, message: Message) -> None:
    """Takes its time at each attempt, and fails at the first."""
    note("begun", body)
    gevent.sleep(_longest)
    if attempt_of(message.headers, message.delivery_info["routing_key"]) == 1:
        raise ValueError("after all that time")
    note("done", body)


def handle(body: Any, message: Message) -> None:
    """Waits, as a callback does that asks another server."""
    note("begun", body)
    gevent.sleep(random.uniform(0, _longest))
    note("done", body)
