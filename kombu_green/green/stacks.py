"""Where everything stands: the stacks of native threads and of greenlets, as text.

For a native thread that looks at a hub which does not turn; nothing here waits or switches.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections import defaultdict
from itertools import islice
from types import CodeType, FrameType
from typing import Final

import greenlet
from gevent.hub import Hub

__all__ = ["codes", "every_stack", "stack_of_thread", "waits", "written"]

_DEEPEST: Final = 60  # frames of one stack that are told
_NAMED: Final = 3  # greenlets with the same stack that are named
_HUB_RUNS: Final = Hub.run.__code__


def stack_of_thread(number: int) -> FrameType | None:
    """The innermost frame of the greenlet that runs in native thread *number*."""
    return sys._current_frames().get(number)


def waits(frame: FrameType | None) -> bool:
    """Whether a thread that stands there is in its hub's loop, and runs none of its callbacks."""
    return frame is None or frame.f_code is _HUB_RUNS


def codes(frame: FrameType) -> tuple[CodeType, ...]:
    """By what two stacks are the same one: the functions, whichever lines of theirs are at work."""
    return tuple(one.f_code for one, _ in islice(traceback.walk_stack(frame), _DEEPEST))


def written(frame: FrameType) -> str:
    """The stack, innermost call last."""
    summary = traceback.StackSummary.extract(islice(traceback.walk_stack(frame), _DEEPEST))
    summary.reverse()
    return "".join(summary.format()).rstrip("\n")


def every_stack() -> str:
    """Of each native thread and each greenlet that waits; those that stand at the same place are told once."""
    parts = [f"thread {number}:\n{written(frame)}" for number, frame in sys._current_frames().items()]
    places: dict[str, list[str]] = defaultdict(list)
    for found in gc.get_objects():
        # its type, as asking a lazy object whether it is one would run foreign code
        if issubclass(type(found), greenlet.greenlet) and (frame := found.gr_frame) is not None:
            places[written(frame)].append(_name(found))
    parts += [f"{_named(names)}:\n{place}" for place, names in places.items()]
    return "\n".join(parts)


def _name(found: greenlet.greenlet) -> str:
    """As whoever spawned it called it; for the others gevent makes up a name, which is for their own thread."""
    return str(found.__dict__.get("name") or type(found).__name__)


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return f"greenlet {', '.join(sorted(names)[:_NAMED])}" + (f" and {more} more" if more > 0 else "")
