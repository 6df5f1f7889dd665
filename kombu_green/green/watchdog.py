"""A native thread that logs what blocks the hub: the message that is handled, and the stack.

It reads the words that :mod:`kombu_green.green.hub_trace` writes: if greenlets were switched since its last look, the
hub turns.  The thread sleeps with the interpreter's own sleep, and logs as any native thread does (see
:mod:`kombu_green.green.locks`); neither a stop nor the interpreter's exit waits for it.  Foreign code that keeps the
interpreter's lock stops this thread as well.  It logs as soon as the lock is released, and meanwhile the launcher
notices the missing heartbeats.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from types import CodeType
from typing import Any, Final

from gevent.monkey import get_original

from kombu_green.clock import Deadline
from kombu_green.green.stacks import code_objects, format_all_stacks, format_stack, is_hub_waiting, thread_frame
from kombu_green.ipc.recorder import Recorder, RecorderWord, Row
from kombu_green.service import Service

__all__ = ["Watchdog"]

log = logging.getLogger(__name__)

_start_thread: Final[Callable[..., Any]] = get_original("_thread", "start_new_thread")
_thread_number: Final[Callable[[], int]] = get_original("_thread", "get_ident")
_sleep: Final[Callable[[float], None]] = get_original("time", "sleep")

_LONGEST_TICK: Final = 0.2  # seconds between two looks
_LOOKS: Final = 5  # looks within the time that the hub may be blocked
_SUMMARY_INTERVAL: Final = 60.0  # seconds between two lines about blocks with a stack that was logged before
_MOST_STACKS: Final = 1000  # that are remembered as logged


class Watchdog(Service):
    """Logs each block of the hub for *longest* seconds or more; 0 is never.  The hub is that of the starting thread.

    Each distinct stack is logged once; further blocks there are counted.  The thread also logs all stacks when the
    launcher asks for them in the recorder's words.
    """

    def __init__(self, recorder: Recorder, longest: float) -> None:
        self._recorder: Final = recorder
        self._longest: Final = longest
        self._tick: Final = min(_LONGEST_TICK, longest / _LOOKS) if longest else _LONGEST_TICK
        self._starts = 0  # how often it was started; the thread of an earlier start ends when this has changed

    def on_start(self) -> None:
        self._starts += 1
        _start_thread(self._watch, (self._starts, _thread_number()))

    def on_stop(self, deadline: Deadline) -> None:
        """The thread ends within a tick, and is not waited for."""

    def _watch(self, start: int, hub_thread: int) -> None:
        words = self._recorder.words
        detector = _BlockDetector(self._recorder, hub_thread, self._longest)
        while self.running and start == self._starts:
            words[RecorderWord.SWITCHED] = 0
            _sleep(self._tick)
            try:
                if self._longest:
                    detector.look(turns=bool(words[RecorderWord.SWITCHED]), now=monotonic())
                if words[RecorderWord.STACKS_REQUESTED] != words[RecorderWord.STACKS_PRINTED]:
                    asked = words[RecorderWord.STACKS_REQUESTED]
                    self._log_all_stacks()
                    words[RecorderWord.STACKS_PRINTED] = asked
            except Exception:
                log.exception("the hub's watchdog failed, and goes on")

    def _log_all_stacks(self) -> None:
        rows, hub = self._recorder.running(), self._recorder.words[RecorderWord.HUB]
        now = monotonic()
        lines = [f"{row} for {now - row.since:.1f} s{', has the hub' * (row.number == hub)}" for row in rows]
        log.warning(
            "asked for stacks: %d messages are being handled\n%s",
            len(rows),
            "\n".join([*lines, format_all_stacks()]),
            extra={"event": "stacks", "has_stacks": True},
        )


class _BlockDetector:
    """Finds out, look by look, whether the hub is blocked, and logs it."""

    def __init__(self, recorder: Recorder, hub_thread: int, longest: float) -> None:
        self._recorder: Final = recorder
        self._hub_thread: Final = hub_thread
        self._longest: Final = longest
        self._last_turn = monotonic()  # when the hub last turned, as far as is known
        self._blocked_in: tuple[CodeType, ...] | None = None  # the stack of the present block, once it is a long one
        self._was_logged = False  # whether the present block was logged
        self._known: Final[set[tuple[CodeType, ...]]] = set()  # stacks that were logged
        self._repeated: list[float] = []  # seconds of each block that was not logged
        self._last_summary = monotonic()

    def look(self, *, turns: bool, now: float) -> None:
        """Called once a tick; *turns* tells whether greenlets were switched since the last call."""
        frame = None if turns else thread_frame(self._hub_thread)
        if turns or (self._recorder.words[RecorderWord.HUB] == 0 and is_hub_waiting(frame)):
            self._end_block(now)
        elif self._blocked_in is None and frame is not None and now - self._last_turn >= self._longest:
            self._blocked_in = code_objects(frame)
            self._was_logged = self._blocked_in not in self._known
            if self._was_logged:
                self._remember(self._blocked_in)
                self._log_block(format_stack(frame), now - self._last_turn)
        if self._repeated and now - self._last_summary >= _SUMMARY_INTERVAL:
            self._log_summary(now)

    def _end_block(self, now: float) -> None:
        seconds, self._last_turn = now - self._last_turn, now
        if self._blocked_in is None:
            return
        self._blocked_in = None
        if self._was_logged:
            log.warning("the hub turns again after %.1f s", seconds, extra={"event": "turns", "seconds": seconds})
        else:
            self._repeated.append(seconds)

    def _remember(self, stack: tuple[CodeType, ...]) -> None:
        if len(self._known) >= _MOST_STACKS:
            self._known.clear()
        self._known.add(stack)

    def _log_block(self, stack: str, seconds: float) -> None:
        number = self._recorder.words[RecorderWord.HUB]
        row = next((row for row in self._recorder.running() if row.number == number), None)
        what = "something that handles no message" if row is None else str(row)
        log.warning(
            "the hub is blocked for %.1f s by %s: nothing else runs; offload = yes moves such work to a thread\n%s",
            seconds,
            what,
            stack,
            extra={"event": "blocked", "has_stacks": True, "seconds": seconds, **_log_fields(row)},
        )

    def _log_summary(self, now: float) -> None:
        repeated, self._repeated, self._last_summary = self._repeated, [], now
        log.warning(
            "the hub was blocked %d more times, for up to %.1f s, by what was logged before",
            len(repeated),
            max(repeated),
            extra={"event": "blocked_again", "count": len(repeated), "seconds": max(repeated)},
        )


def _log_fields(row: Row | None) -> dict[str, str]:
    if row is None:
        return {}
    return {"queue": row.queue, "callback": row.callback, "key": row.key.hex(), "message_id": row.message_id}
