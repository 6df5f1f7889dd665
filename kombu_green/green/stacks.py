"""The stacks of native threads and greenlets as text.

A native thread calls these functions while the hub may be blocked, so nothing here waits or switches greenlets.
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

__all__ = ["code_objects", "format_all_stacks", "format_stack", "is_hub_waiting", "thread_frame"]

_MOST_FRAMES: Final = 60  # of one stack
_MOST_NAMES: Final = 3  # of greenlets with the same stack
_HUB_RUN: Final = Hub.run.__code__


def thread_frame(thread: int) -> FrameType | None:
    """The innermost frame of the greenlet that runs in the native thread with the number *thread*."""
    return sys._current_frames().get(thread)


def is_hub_waiting(frame: FrameType | None) -> bool:
    """Whether a thread with this innermost frame waits in its hub's event loop, and runs no callback of it."""
    return frame is None or frame.f_code is _HUB_RUN


def code_objects(frame: FrameType) -> tuple[CodeType, ...]:
    """The functions of a stack, innermost first: two stacks count as the same one if these are equal."""
    return tuple(one.f_code for one, _ in islice(traceback.walk_stack(frame), _MOST_FRAMES))


def format_stack(frame: FrameType) -> str:
    """The stack as text, the innermost call last."""
    summary = traceback.StackSummary.extract(islice(traceback.walk_stack(frame), _MOST_FRAMES))
    summary.reverse()
    return "".join(summary.format()).rstrip("\n")


def format_all_stacks() -> str:
    """The stack of each native thread, and of each greenlet that does not run; equal stacks of greenlets once."""
    parts = [f"thread {thread}:\n{format_stack(frame)}" for thread, frame in sys._current_frames().items()]
    names: dict[str, list[str]] = defaultdict(list)
    for found in gc.get_objects():
        # type(), not isinstance(): reading __class__ of a lazy object would run foreign code
        if issubclass(type(found), greenlet.greenlet) and (frame := found.gr_frame) is not None:
            names[format_stack(frame)].append(_name(found))
    parts += [f"{_heading(found)}:\n{stack}" for stack, found in names.items()]
    return "\n".join(parts)


def _name(found: greenlet.greenlet) -> str:
    """The name that was given to the greenlet, else its type; gevent's default name may be read in its thread only."""
    return str(found.__dict__.get("name") or type(found).__name__)


def _heading(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return f"greenlet {', '.join(sorted(names)[:_MOST_NAMES])}" + (f" and {more} more" if more > 0 else "")
