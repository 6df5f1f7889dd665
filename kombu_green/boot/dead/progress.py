"""How far it has come: a bar on a terminal if ``rich`` is installed, else a line that counts; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from kombu_green import plugins
from kombu_green.exceptions import PluginError

__all__ = ["shown"]

T = TypeVar("T")

_EVERY: Final = 0.1  # seconds between two looks


def shown(things: Iterable[T], total: int, words: str) -> Iterator[T]:
    """*things*, of which there are *total* at most, with their progress on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        return iter(things)
    try:
        bar = plugins.load("rich.progress:Progress")
        console = plugins.load("rich.console:Console")
    except PluginError:
        return _counted(things, total, words)
    return _drawn(things, total, words, bar(console=console(stderr=True), auto_refresh=False, transient=True))


def _counted(things: Iterable[T], total: int, words: str) -> Iterator[T]:
    count, told = 0, 0.0
    try:
        for count, thing in enumerate(things, 1):
            yield thing
            if time.monotonic() - told >= _EVERY:
                told = time.monotonic()
                sys.stderr.write(f"\r{words}: {count} of {total}")
                sys.stderr.flush()
    finally:
        if told:
            sys.stderr.write(f"\r{words}: {count} of {total}\n")


def _drawn(things: Iterable[T], total: int, words: str, bar: Any) -> Iterator[T]:
    """Drawn by this greenlet: a thread of the library's own would wait in native locks."""
    told = time.monotonic()
    with bar:
        task = bar.add_task(words, total=total)
        for thing in things:
            yield thing
            bar.advance(task)
            if time.monotonic() - told >= _EVERY:
                told = time.monotonic()
                bar.refresh()
        bar.refresh()
