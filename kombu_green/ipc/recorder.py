"""The flight recorder: what each slot of a worker process works on, and which of them has the hub, in shared memory.

The process writes it as it goes, without a system call; the parent, which has the same file open, reads it after the
process has died, and the watchdog reads it while it lives.  The layout is the same for all of them::

    offset      what
    0           magic (8 bytes), rows (u32), bytes used of the names (u32)
    16          the hub word (u64): the number of the row that has the hub; 0 is the hub itself
    24          switched (u64): not 0 once a greenlet was switched to since somebody set it to 0
    32          stacks asked (u64), stacks told (u64): the parent counts up the one, the process follows with the other
    64          names: one JSON array [queue, callback] a line
    65536       rows of 2048 bytes: name (u32), bytes used of the origin (u32), since (f64), limit (f64), turns (u64),
                state (u8), and from byte 40 on the message's origin, or its key when that has no room

``since`` is on the monotonic clock, which all processes of a machine share; ``limit`` is seconds, 0 for none; ``turns``
are the messages that this slot had done with when the last one was begun.  A slot serves one queue for its life.  The
state is written last, so that a row is whole or free.
"""

from __future__ import annotations

import json
import mmap
import os
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from struct import Struct
from typing import Final

from kombu_green.ipc.message_keys import KEY_SIZE, id_in, key_of

__all__ = ["IDLE", "NOBODY", "Recorder", "Recording", "Row", "RowState", "RowWriter", "Word", "anonymous_file"]

#: the hub word while the hub itself waits or works, and while a greenlet has it that is no slot's
IDLE: Final = 0
NOBODY: Final = 2**32 - 1

_MAGIC: Final = b"kgfr\0\0\0\1"
_HEAD: Final = Struct("<8sII")
_WORDS: Final = slice(16, 64)
_NAMES_AT: Final = 64
_ROWS_AT: Final = 65536
_ROW: Final = Struct("<IIddQB7x")
_STRIDE: Final = 2048
_ROOM: Final = _STRIDE - _ROW.size  # for the origin
_STATE_AT: Final = _ROW.size - 8
_NAMELESS: Final = ("?", "?")


class Word(IntEnum):
    """Where each of :attr:`Recorder.words` is."""

    HUB = 0  # the number of the row that has the hub
    SWITCHED = 1  # not 0 once a greenlet was switched to
    ASKED = 2  # how often the parent has asked for stacks
    TOLD = 3  # for how many of those they were told


class RowState(IntEnum):
    FREE = 0
    RUNNING = 1  # in its greenlet
    OFFLOADED = 2  # in a native thread, which needs no hub


@dataclass(frozen=True, slots=True)
class Row:
    """One message at work."""

    number: int
    queue: str
    callback: str
    key: bytes  # by which the message is known again
    id: str  # its message id, shortened; empty when it has none
    since: float
    limit: float
    state: RowState

    def __str__(self) -> str:
        named = f"message {self.id}" if self.id else f"a message known as {self.key.hex()[:12]}"
        return f"{named} of queue {self.queue} in {self.callback}"


def anonymous_file(name: str) -> int:
    """A descriptor of a file that has no path and goes with its last descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"{name}-{os.getpid()}-{os.urandom(8).hex()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


class Recorder:
    """The writing end, for one process with *rows* slots; rows are numbered from 1.

    *fd* is a file that the parent reads; without one the memory is this process's own.
    """

    def __init__(self, rows: int, fd: int | None = None) -> None:
        size = _ROWS_AT + rows * _STRIDE
        if fd is not None:
            os.ftruncate(fd, size)
        self._map: Final = mmap.mmap(-1 if fd is None else fd, size)
        self.rows: Final = rows
        #: by :class:`Word`
        self.words: Final = memoryview(self._map)[_WORDS].cast("Q")
        self._names: dict[tuple[str, str], int] = {}
        self._used = 0
        self._full = False
        _HEAD.pack_into(self._map, 0, _MAGIC, rows, 0)

    def name(self, queue: str, callback: str) -> int:
        """The number by which rows say *queue* and *callback*."""
        found = self._names.get((queue, callback))
        if found is None:
            found = self._names[queue, callback] = len(self._names)
            line = json.dumps([queue[:200], callback[:200]]).encode() + b"\n"
            end = _NAMES_AT + self._used + len(line)
            self._full = self._full or end > _ROWS_AT
            if not self._full:  # beyond that, names are lost, and nothing else
                self._map[end - len(line) : end] = line
                self._used += len(line)
                _HEAD.pack_into(self._map, 0, _MAGIC, self.rows, self._used)
        return found

    def running(self) -> list[Row]:
        """The rows that are not free, for another thread of this process."""
        return _rows(self._map)

    def row(self, number: int) -> RowWriter:
        """The writer of row *number*, for its slot."""
        return RowWriter(self._map, number)


class RowWriter:
    """Says what one slot works on; *turn* is another one after each message."""

    __slots__ = ("_at", "_map", "_origin_at", "_state_at", "number", "turn")

    def __init__(self, data: mmap.mmap, number: int) -> None:
        self.number: Final = number
        self.turn = 0
        self._map: Final = data
        self._at: Final = _at(number)
        self._origin_at: Final = self._at + _ROW.size
        self._state_at: Final = self._at + _STATE_AT

    def begin(self, name: int, origin: bytes, since: float, limit: float = 0.0, state: int = RowState.RUNNING) -> None:
        """The message that is known by *origin* is begun; *name* is a number of :meth:`Recorder.name`."""
        used, at = len(origin), self._origin_at
        if used > _ROOM:
            origin, used = key_of(origin), KEY_SIZE
        self._map[at : at + used] = origin
        _ROW.pack_into(self._map, self._at, name, used, since, limit, self.turn, state)

    def end(self) -> None:
        """The slot is free: the message is settled, or given back."""
        self._map[self._state_at] = 0
        self.turn += 1


class Recording:
    """The reading end of the file *fd*; what it says is as of the moment of asking.

    A process that died before it wrote anything has no rows.
    """

    def __init__(self, fd: int) -> None:
        self._fd: Final = fd
        self._map: mmap.mmap | None = None

    def rows(self) -> list[Row]:
        """The rows that are not free."""
        data = self._mapped()
        return [] if data is None else _rows(data)

    def survived(self) -> dict[str, int]:
        """How many messages of each queue it had done with, and lived; the last one of each slot may be missing."""
        data = self._mapped()
        return {} if data is None else _survived(data)

    @property
    def hub(self) -> int:
        """The number of the row that has the hub, :data:`IDLE` or :data:`NOBODY`."""
        return self._word(Word.HUB)

    def ask_for_stacks(self) -> None:
        """Ask a native thread of the process to print every greenlet's stack."""
        data = self._mapped()
        if data is not None:
            words = memoryview(data)[_WORDS].cast("Q")
            words[Word.ASKED] += 1
            words.release()

    @property
    def told_stacks(self) -> bool:
        """Whether all stacks that were asked for were printed."""
        return self._word(Word.ASKED) == self._word(Word.TOLD)

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
        os.close(self._fd)

    def _word(self, index: Word) -> int:
        data = self._mapped()
        return 0 if data is None else int.from_bytes(data[16 + 8 * index : 24 + 8 * index], "little")

    def _mapped(self) -> mmap.mmap | None:
        if self._map is None and os.fstat(self._fd).st_size >= _ROWS_AT:
            found = mmap.mmap(self._fd, 0)
            if found[:8] != _MAGIC:
                found.close()
                return None
            self._map = found
        return self._map


def _rows(data: mmap.mmap) -> list[Row]:
    """What makes no sense is left out: a process that ruins its memory may have written anything."""
    names, numbers = _layout(data)
    return [row for number in numbers if (row := _read(data, number, names)) is not None]


def _survived(data: mmap.mmap) -> dict[str, int]:
    found: Counter[str] = Counter()
    names, numbers = _layout(data)
    for number in numbers:
        name, _, _, _, turns, _ = _ROW.unpack_from(data, _at(number))
        if turns and name < len(names):
            found[names[name][0]] += turns
    return dict(found)


def _layout(data: mmap.mmap) -> tuple[list[tuple[str, str]], range]:
    """The names, and the numbers of the rows."""
    _, count, used = _HEAD.unpack_from(data)
    names = [_name(line) for line in data[_NAMES_AT : min(_NAMES_AT + used, _ROWS_AT)].splitlines()]
    return names, range(1, min(count, (len(data) - _ROWS_AT) // _STRIDE) + 1)


def _at(number: int) -> int:
    return _ROWS_AT + (number - 1) * _STRIDE


def _name(line: bytes) -> tuple[str, str]:
    try:
        queue, callback = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return _NAMELESS
    return str(queue), str(callback)


def _read(data: mmap.mmap, number: int, names: list[tuple[str, str]]) -> Row | None:
    at = _at(number)
    name, used, since, limit, _, state = _ROW.unpack_from(data, at)
    if state not in (RowState.RUNNING, RowState.OFFLOADED) or not (isfinite(since) and isfinite(limit)):
        return None
    queue, callback = names[name] if name < len(names) else _NAMELESS
    origin = data[at + _ROW.size : at + _ROW.size + min(used, _ROOM)]
    return Row(number, queue, callback, key_of(origin), id_in(origin), since, limit, RowState(state))
