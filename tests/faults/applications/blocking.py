"""Callbacks that keep a native thread busy for three seconds."""

from __future__ import annotations

import os
from typing import Any

from gevent.monkey import get_original

from kombu_green.message import Message

_file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def handle(body: Any, message: Message) -> None:
    """The interpreter's own sleep, which lets no greenlet run."""
    os.write(_file, f"begun {body['id']} {os.getpid()}\n".encode())
    get_original("time", "sleep")(3.0)
    os.write(_file, f"done {body['id']} {os.getpid()}\n".encode())
