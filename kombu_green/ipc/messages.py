"""What parent and child say to each other: one JSON object a line, over one socketpair.

The child says :class:`Started`, then :class:`Ready` (or :class:`Standby`), :class:`Heartbeat` from its hub all the
time, :class:`Entered` for each step of its way out, and :class:`Stopped` last; or :class:`CannotBoot` and nothing more.
A message that was delivered before starts after an :class:`Ask` and the parent's :class:`Answer`; :class:`Settled`
follows once it is settled.  The parent says :class:`Drain` and :class:`Release`, too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, get_type_hints

__all__ = [
    "LONGEST_LINE",
    "PROTOCOL",
    "Answer",
    "Ask",
    "CannotBoot",
    "Drain",
    "Entered",
    "Heartbeat",
    "LineReader",
    "Malformed",
    "Note",
    "Ready",
    "Release",
    "Settled",
    "Standby",
    "Started",
    "Stopped",
    "decode",
    "encode",
]

#: which vocabulary this is; counted up whenever a note, or the layout of the recorder, is changed.  A reload starts new
#: code under a parent that is as old as its start.
PROTOCOL: Final = 1

#: bytes of one note on the wire; a longer one is not sent, and not waited for
LONGEST_LINE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Started:
    """The child runs, is patched, and has read its configuration."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Every consumer is registered at the broker."""


@dataclass(frozen=True, slots=True)
class Standby:
    """A consumer waits for its place, which another one has: it is exclusive."""


@dataclass(frozen=True, slots=True)
class Entered:
    """It is in *phase* now, one of :data:`kombu_green.ipc.phases.LEAVING`."""

    phase: str


@dataclass(frozen=True, slots=True)
class Ask:
    """May the redelivered message in *row* start?

    It is known by *key* (in hex), was taken from *queue*, and *taken* so often before, by whomever, as far as the
    broker counts that.
    """

    row: int
    key: str
    queue: str
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What was asked about for *row* is over: settled, or given *back* to its queue before it began."""

    row: int
    key: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The hub turns.  Counts are since the child's start, but ``running``, which is now."""

    running: int = 0
    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """Drained; ``released`` messages were given back unfinished because the deadline passed."""

    released: int = 0


@dataclass(frozen=True, slots=True)
class CannotBoot:
    """Trying again will not help; one line for each problem."""

    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing more, finish what runs within *timeout* seconds, then end."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Release:
    """End now: give back what is unfinished."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The message in *row* may start; or, when *park* says why, it shall be dead-lettered for that reason."""

    row: int
    park: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a :class:`LineReader` hands out for a line that is no note; ``line`` is its beginning."""

    line: bytes


Note = Started | Ready | Standby | Entered | Ask | Settled | Heartbeat | Stopped | CannotBoot | Drain | Release | Answer

_KINDS: Final[dict[str, type[Note]]] = {
    "started": Started,
    "ready": Ready,
    "standby": Standby,
    "entered": Entered,
    "ask": Ask,
    "settled": Settled,
    "heartbeat": Heartbeat,
    "stopped": Stopped,
    "cannot_boot": CannotBoot,
    "drain": Drain,
    "release": Release,
    "answer": Answer,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_TYPES: Final = {kind: get_type_hints(kind) for kind in _NAMES}


def encode(note: Note) -> bytes:
    """One line, its end included; ``ValueError`` when it is longer than :data:`LONGEST_LINE`."""
    line = json.dumps({"note": _NAMES[type(note)], **asdict(note)}).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a note of {len(line)} bytes is too long: {_NAMES[type(note)]}")
    return line


def decode(line: bytes) -> Note:
    """The note in *line*; ``ValueError`` for anything that is none, a field of another type included."""
    try:
        said = json.loads(line)
        kind = _KINDS[said.pop("note")]
        note = kind(**said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a note: {line[:80]!r}") from error
    if not all(_fits(getattr(note, field.name), _TYPES[kind][field.name]) for field in fields(note)):
        raise ValueError(f"not a note: {line[:80]!r}")
    return note


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is int:
        return type(value) is int and value >= 0
    if wanted is float:
        return type(value) in (int, float) and 0 <= value < float("inf")
    if wanted is bool or wanted is str:
        return isinstance(value, wanted)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class LineReader:
    """Turns pieces of a stream into notes; keeps what is not a whole line yet, up to :data:`LONGEST_LINE` bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False  # the rest of a line that was too long

    def feed(self, piece: bytes) -> list[Note | Malformed]:
        """The notes that *piece* completes, in order; never raises."""
        *lines, rest = (self._rest + piece).split(b"\n")
        found: list[Note | Malformed] = []
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif line:
                found.append(_note(line))
        if self._skipping:
            rest = b""
        elif len(rest) >= LONGEST_LINE:
            found.append(Malformed(rest[:80]))
            rest, self._skipping = b"", True
        self._rest = rest
        return found


def _note(line: bytes) -> Note | Malformed:
    try:
        return decode(line)
    except ValueError:
        return Malformed(line[:80])
