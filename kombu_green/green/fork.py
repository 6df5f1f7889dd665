"""Forks of a patched process: in the child, none of the greenlets that it has inherited ever runs.

A callback may fork: with ``os.fork``, ``multiprocessing.Process`` or ``subprocess`` with a ``preexec_fn``.  The child
has a copy of every greenlet: the readers of sockets, slots that wait for messages, heartbeats.  If one of them ran
there, two processes would read from one socket and handle the same messages.  So in the child the hub is replaced by an
empty one, and objects that own a socket or a greenlet drop it without a word to the other side: :meth:`Forks.add`.

The greenlet that has forked goes on.  When it ends, so does the child: there is nothing else for it to do.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Any, Final, NoReturn, Protocol
from weakref import WeakSet

import greenlet
from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists, set_hub, set_loop

__all__ = ["Forks", "InheritsNothing", "end_child", "forks"]


class InheritsNothing(Protocol):
    """What has to be told that it is in the child of a fork now."""

    def after_fork(self) -> None:
        """Drop what belongs to the parent.  Must not switch greenlets, nor send anything."""


class Forks:
    """What this process does after a fork, as a child."""

    def __init__(self) -> None:
        #: how many forks led from the process that was started first to this one, since :meth:`add` was first called
        self.count = 0
        self._members: WeakSet[InheritsNothing] = WeakSet()
        self._registered = False
        self._kept: list[object] = []

    def add(self, member: InheritsNothing) -> None:
        """Call ``member.after_fork()`` in each child, as long as *member* exists."""
        if not self._registered:
            self._registered = True
            os.register_at_fork(after_in_child=self._begin_child)
        self._members.add(member)

    def keep(self, inherited: object) -> None:
        """Never free *inherited*: its destructor would act on what belongs to the parent."""
        self._kept.append(inherited)

    def _begin_child(self) -> None:
        self.count += 1
        # a greenlet that is freed while it waits is killed, and its clean-up code would run
        self._kept.append([one for one in gc.get_objects() if issubclass(type(one), greenlet.greenlet)])
        for member in list(self._members):
            try:
                member.after_fork()
            except Exception:  # noqa: BLE001  the others must be told, too
                traceback.print_exc()
        _replace_hub()


#: the forks of this process; the one object of its kind, as Python offers no way to unregister from forks
forks: Final = Forks()


def end_child(error: BaseException | None = None) -> NoReturn:
    """End the child of a fork at once: with code 0, or 1 and the traceback of *error*.  No exit hook runs."""
    if error is not None:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else 1)


def _replace_hub() -> None:
    """Let the calling thread begin with a new hub; whatever waits for the old one waits for ever."""
    hub = get_hub_if_exists()
    if hub is None:
        return
    loop = hub.loop
    set_hub(None)  # type: ignore[arg-type]  # as gevent itself does when a hub is destroyed
    set_loop(None)  # type: ignore[arg-type]
    if loop is not None:
        loop.destroy()  # a new default loop is possible then; its descriptors are this process's copies
    current = root = getcurrent()
    while root.parent is not None:
        root = root.parent
    if current is not root:  # not the main greenlet
        end = greenlet.greenlet(_end_with, root)
        end.switch(current)
        current.parent = end


def _end_with(forked: Any) -> None:
    """Wait as the parent of greenlet *forked*, and end the process when that has ended."""
    error: BaseException | None = None
    try:
        forked.switch()
    except BaseException as raised:  # noqa: BLE001  it ends the process
        # gevent's own greenlets look for a hub here when they end, even if they have succeeded
        error = raised if getattr(forked, "exception", raised) is not None else None
    end_child(error)
