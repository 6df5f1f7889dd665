"""Callbacks that write down, one line each and at once, what they begin and what they have done."""

from __future__ import annotations

import os
import random
from typing import Any

import gevent

from kombu_green.message import Message

_file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_longest = float(os.environ.get("LONGEST", "0"))


def note(word: str, body: Any) -> None:
    os.write(_file, f"{word} {body['id']} {os.getpid()}\n".encode())


def handle(body: Any, message: Message) -> None:
    """Waits, as a callback does that asks another server."""
    note("begun", body)
    gevent.sleep(random.uniform(0, _longest))
    note("done", body)
