"""Who blocks the hub: a native thread looks, and says which message it is, and where it stands.

It reads what :mod:`kombu_green.green.tracing` writes: a hub that has switched since the last look turns.  The thread
uses the interpreter's own sleep, and logs as any native thread does under :mod:`kombu_green.green.locks`; nothing waits
for it, and no exit does.  What it can do nothing about is foreign code that keeps the interpreter's lock; it speaks as
soon as that lets go, and the parent judges by the missing heartbeats meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from types import CodeType
from typing import Any, Final

from gevent.monkey import get_original

from kombu_green.clock import Deadline
from kombu_green.green.stacks import codes, every_stack, stack_of_thread, waits, written
from kombu_green.ipc.recorder import Recorder, RecorderWord, Row
from kombu_green.service import Service

__all__ = ["Watchdog"]

log = logging.getLogger(__name__)

_start_thread: Final[Callable[..., Any]] = get_original("_thread", "start_new_thread")
_thread_number: Final[Callable[[], int]] = get_original("_thread", "get_ident")
_sleep: Final[Callable[[float], None]] = get_original("time", "sleep")

_TICK: Final = 0.2  # seconds between two looks, at most
_LOOKS: Final = 5  # looks within the time that is allowed
_AGAIN: Final = 60.0  # seconds between two lines about what was told before
_REMEMBERED: Final = 1000  # stacks


class Watchdog(Service):
    """Watches the hub of the thread that starts it, and logs whoever keeps it for *longest* seconds; 0 is never.

    Each distinct stack is told once, and counted after that.  It also answers the parent that asks for all stacks.
    """

    def __init__(self, recorder: Recorder, longest: float) -> None:
        self._recorder: Final = recorder
        self._longest: Final = longest
        self._tick: Final = min(_TICK, longest / _LOOKS) if longest else _TICK
        self._stints = 0  # starts so far; a thread of an earlier one ends when it sees a later one

    def on_start(self) -> None:
        self._stints += 1
        _start_thread(self._watch, (self._stints, _thread_number()))

    def on_stop(self, deadline: Deadline) -> None:
        """The thread ends within a tick; nobody has to wait for that."""

    def _watch(self, stint: int, thread: int) -> None:
        words = self._recorder.words
        block = _Block(self._recorder, thread, self._longest)
        while self.running and stint == self._stints:
            words[RecorderWord.SWITCHED] = 0
            _sleep(self._tick)
            try:
                if self._longest:
                    block.look(turns=bool(words[RecorderWord.SWITCHED]), now=monotonic())
                if words[RecorderWord.STACKS_REQUESTED] != words[RecorderWord.STACKS_PRINTED]:
                    requested = words[RecorderWord.STACKS_REQUESTED]
                    self._tell_all()
                    words[RecorderWord.STACKS_PRINTED] = requested
            except Exception:
                log.exception("the hub's watchdog failed, and goes on")

    def _tell_all(self) -> None:
        rows, hub = self._recorder.running(), self._recorder.words[RecorderWord.HUB]
        now = monotonic()
        lines = [f"{row} for {now - row.since:.1f} s{', has the hub' * (row.number == hub)}" for row in rows]
        log.warning(
            "asked for stacks: %d messages are being handled\n%s",
            len(rows),
            "\n".join([*lines, every_stack()]),
            extra={"event": "stacks"},
        )


class _Block:
    """Whether the hub is blocked, since when, and what was told about it."""

    def __init__(self, recorder: Recorder, thread: int, longest: float) -> None:
        self._recorder: Final = recorder
        self._thread: Final = thread
        self._longest: Final = longest
        self._turned = monotonic()  # when it was last known to turn
        self._where: tuple[CodeType, ...] | None = None  # what blocks it now, once that was noticed
        self._fresh = False  # and whether it was told
        self._known: Final[set[tuple[CodeType, ...]]] = set()
        self._repeated: list[float] = []  # seconds of each block that was not told
        self._summed_up = monotonic()

    def look(self, *, turns: bool, now: float) -> None:
        """To be called once a tick."""
        frame = None if turns else stack_of_thread(self._thread)
        if turns or (self._recorder.words[RecorderWord.HUB] == 0 and waits(frame)):
            self._free(now)
        elif self._where is None and frame is not None and now - self._turned >= self._longest:
            self._where = codes(frame)
            self._fresh = self._where not in self._known
            if self._fresh:
                self._remember(self._where)
                self._tell(written(frame), now - self._turned)
        if self._repeated and now - self._summed_up >= _AGAIN:
            self._sum_up(now)

    def _free(self, now: float) -> None:
        seconds, self._turned = now - self._turned, now
        if self._where is None:
            return
        self._where = None
        if self._fresh:
            log.warning("the hub turns again after %.1f s", seconds, extra={"event": "turns", "seconds": seconds})
        else:
            self._repeated.append(seconds)

    def _remember(self, where: tuple[CodeType, ...]) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known.add(where)

    def _tell(self, stack: str, seconds: float) -> None:
        number = self._recorder.words[RecorderWord.HUB]
        row = next((row for row in self._recorder.running() if row.number == number), None)
        what = "something that handles no message" if row is None else str(row)
        log.warning(
            "the hub is blocked for %.1f s by %s: nothing else runs; offload = yes moves such work to a thread\n%s",
            seconds,
            what,
            stack,
            extra={"event": "blocked", "seconds": seconds, **_described(row)},
        )

    def _sum_up(self, now: float) -> None:
        repeated, self._repeated, self._summed_up = self._repeated, [], now
        log.warning(
            "the hub was blocked %d more times, for up to %.1f s, by what was told before",
            len(repeated),
            max(repeated),
            extra={"event": "blocked_again", "count": len(repeated), "seconds": max(repeated)},
        )


def _described(row: Row | None) -> dict[str, str]:
    if row is None:
        return {}
    return {"queue": row.queue, "callback": row.callback, "key": row.key.hex(), "message_id": row.message_id}
