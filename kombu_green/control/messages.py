"""What parent and child say to each other: one JSON object a line, over one socketpair.

The child says :class:`Started`, then :class:`Ready`, then :class:`Heartbeat` from its hub, and :class:`Stopped` last;
or :class:`CannotBoot` and nothing more.  The parent says :class:`Drain` and :class:`Release`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

__all__ = [
    "CannotBoot",
    "Drain",
    "Heartbeat",
    "LineReader",
    "Note",
    "Ready",
    "Release",
    "Started",
    "Stopped",
    "decode",
    "encode",
]


@dataclass(frozen=True, slots=True)
class Started:
    """The child runs, is patched, and has read its configuration."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Every consumer is registered at the broker."""


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


Note = Started | Ready | Heartbeat | Stopped | CannotBoot | Drain | Release

_KINDS: dict[str, type[Note]] = {
    "started": Started,
    "ready": Ready,
    "heartbeat": Heartbeat,
    "stopped": Stopped,
    "cannot_boot": CannotBoot,
    "drain": Drain,
    "release": Release,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(note: Note) -> bytes:
    """One line, its end included."""
    return json.dumps({"note": _NAMES[type(note)], **asdict(note)}).encode() + b"\n"


def decode(line: bytes) -> Note:
    """The note in *line*; ``ValueError`` for anything that is none."""
    fields = json.loads(line)
    try:
        kind = _KINDS[fields.pop("note")]
        return kind(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a note: {line!r}") from error


class LineReader:
    """Turns pieces of a stream into notes; keeps what is not a whole line yet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Note]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [decode(line) for line in lines if line]
