"""Callbacks that wait, but for messages whose header says that they end their process, and how."""

from __future__ import annotations

import ctypes
import os
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent
from journal import note  # type: ignore[import-not-found]  # this folder is on the worker's path alone

from kombu_green.message import Message

_SHORTEST: Final = float(os.environ.get("SHORTEST", "0"))
_LONGEST: Final = float(os.environ["LONGEST"])
_MOST: Final = 800  # megabytes; a machine for tests has other things to do


def leave() -> None:
    os._exit(3)


def spin() -> None:
    while True:
        pass


def search() -> None:
    """For longer than anybody waits, with the interpreter's lock."""
    re.match("(?:a+)+$", "a" * 60 + "b")


def crash() -> None:
    ctypes.string_at(0)


def eat() -> None:
    eaten: list[bytearray] = []
    while True:
        if len(eaten) < _MOST / 50:
            eaten.append(bytearray(b"x") * (50 << 20))


def wait() -> None:
    """For something that never comes; the hub turns."""
    gevent.sleep(600)


POISONS: Final[Mapping[str, Callable[[], None]]] = {
    "leave": leave,
    "spin": spin,
    "search": search,
    "crash": crash,
    "eat": eat,
    "wait": wait,
}


def handle(body: Any, message: Message) -> None:
    """Takes as long for an id each time, and as long for those that differ by a thousand."""
    note("begun", body)
    if (poison := message.headers.get("poison")) is not None:
        POISONS[poison]()
    gevent.sleep(random.Random(body["id"] % 1000).uniform(_SHORTEST, _LONGEST))
    note("done", body)
