"""The progress of a verb on a terminal: a bar if ``rich`` is installed, else a line with a counter.

Nothing is shown where standard error is no terminal, nor for work that takes less than half a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Final, TypeVar

from kombu_green import plugins
from kombu_green.exceptions import PluginError

__all__ = ["with_progress"]

T = TypeVar("T")

_FIRST_AFTER: Final = 0.5  # seconds until progress is shown
_EVERY: Final = 0.1  # seconds between two updates

_Update = Callable[[int], object]


def with_progress(
    items: Iterable[T], total: int, label: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """*items* one by one, while their progress (of *total* at most) is shown on standard error after *label*."""
    if not sys.stderr.isatty():
        yield from items
        return
    update: _Update | None = None
    due = clock() + _FIRST_AFTER
    with ExitStack() as stack:
        for count, item in enumerate(items, 1):
            yield item
            if clock() >= due:
                update = update or _bar(total, label, stack) or _counter(total, label, stack)
                update(count)
                due = clock() + _EVERY


def _bar(total: int, label: str, stack: ExitStack) -> _Update | None:
    """A bar of ``rich``, drawn by each update: the thread that it could draw with would wait for native locks."""
    try:
        progress = plugins.load("rich.progress:Progress")
        console = plugins.load("rich.console:Console")
    except PluginError:
        return None
    bar = stack.enter_context(progress(console=console(stderr=True), auto_refresh=False, transient=True))
    task = bar.add_task(label, total=total)
    return lambda count: bar.update(task, completed=count, refresh=True)


def _counter(total: int, label: str, stack: ExitStack) -> _Update:
    def update(count: int) -> None:
        sys.stderr.write(f"\r{label} {count} of {total}")
        sys.stderr.flush()

    stack.callback(sys.stderr.write, "\n")
    return update
