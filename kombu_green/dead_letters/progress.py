"""How far it has come: a bar on a terminal if ``rich`` is installed, else a line that counts; nothing elsewhere.

What is over in a moment is not shown at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Final, TypeVar

from kombu_green import plugins
from kombu_green.exceptions import PluginError

__all__ = ["shown"]

T = TypeVar("T")

_AFTER: Final = 0.5  # seconds from the beginning to the first look
_EVERY: Final = 0.1  # and between two of them

_Show = Callable[[int], object]


def shown(things: Iterable[T], total: int, words: str, clock: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """*things*, of which there are *total* at most, with their progress on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield from things
        return
    show: _Show | None = None
    due = clock() + _AFTER
    with ExitStack() as stack:
        for count, thing in enumerate(things, 1):
            yield thing
            if clock() >= due:
                show = show or _bar(total, words, stack) or _counter(total, words, stack)
                show(count)
                due = clock() + _EVERY


def _bar(total: int, words: str, stack: ExitStack) -> _Show | None:
    """Drawn when it is told to: a thread of the library's own would wait in native locks."""
    try:
        progress = plugins.load("rich.progress:Progress")
        console = plugins.load("rich.console:Console")
    except PluginError:
        return None
    bar = stack.enter_context(progress(console=console(stderr=True), auto_refresh=False, transient=True))
    task = bar.add_task(words, total=total)
    return lambda count: bar.update(task, completed=count, refresh=True)


def _counter(total: int, words: str, stack: ExitStack) -> _Show:
    def show(count: int) -> None:
        sys.stderr.write(f"\r{words} {count} of {total}")
        sys.stderr.flush()

    stack.callback(sys.stderr.write, "\n")
    return show
