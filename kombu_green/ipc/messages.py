"""What the launcher and a worker process (its child) say to each other: one JSON object a line, over one socketpair.

From the child, in this order: :class:`ChildStarted`; :class:`ChildReady`, :class:`ChildStandby` or :class:`ChildAway`,
each time that it changes; :class:`Heartbeat`, sent by its hub at least once a second; :class:`PhaseEntered` for each
phase of its stop; :class:`ChildStopped` as the last one.  A child that cannot go on sends :class:`ChildFailed` before
that.  One that cannot boot sends :class:`CannotBoot` and ends.

Before a redelivered message starts, the child sends an :class:`AdmissionRequest` and waits for the launcher's
:class:`AdmissionReply`.  It sends :class:`AdmissionClosed` once that message is settled or given back.

From the launcher: :class:`AdmissionReply`, :class:`DrainOrder` and :class:`ReleaseOrder`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, get_type_hints

__all__ = [
    "LONGEST_LINE",
    "PROTOCOL",
    "AdmissionClosed",
    "AdmissionReply",
    "AdmissionRequest",
    "CannotBoot",
    "ChildAway",
    "ChildFailed",
    "ChildReady",
    "ChildStandby",
    "ChildStarted",
    "ChildStopped",
    "DrainOrder",
    "Heartbeat",
    "LineReader",
    "Malformed",
    "Note",
    "PhaseEntered",
    "ReleaseOrder",
    "decode",
    "encode",
]

#: the version of these notes and of the recorder's layout, counted up whenever one of them changes.  After an upgrade a
#: reload starts children with new code under a launcher with old code; a child whose version differs refuses to start.
PROTOCOL: Final = 3

#: bytes of one note on the wire; a longer one is not sent, and is skipped by the reader
LONGEST_LINE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """The child runs, is patched by gevent, and has read its configuration."""

    pid: int


@dataclass(frozen=True, slots=True)
class ChildReady:
    """Every consumer is registered at the broker."""


@dataclass(frozen=True, slots=True)
class ChildStandby:
    """Every consumer is registered, except exclusive ones whose queue another process holds."""


@dataclass(frozen=True, slots=True)
class ChildAway:
    """A consumer is not registered any more, or the broker does not answer; sent again when the *reason* changes."""

    reason: str


@dataclass(frozen=True, slots=True)
class PhaseEntered:
    """The child has entered *phase*, one of :data:`kombu_green.ipc.phases.LEAVING`."""

    phase: str


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """May the redelivered message in *row* of the recorder start?  *key* is its message key in hex."""

    row: int
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class AdmissionClosed:
    """The message that was asked about for *row* is settled; or it was given *back* to its queue before it started."""

    row: int
    key: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The child's hub runs.  *running* is the number of messages in work now; the others count since its start."""

    running: int = 0
    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """The child cannot go on, for this *reason*; it gives back what is unfinished, and exits with code 70."""

    reason: str


@dataclass(frozen=True, slots=True)
class ChildStopped:
    """The child has stopped; *released* messages were given back unfinished because the deadline had passed."""

    released: int = 0


@dataclass(frozen=True, slots=True)
class CannotBoot:
    """The child cannot start, and starting it again does not help; *problems* has one line for each reason."""

    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """Take no more messages, finish what runs within *timeout* seconds, then exit."""

    timeout: float


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """Give back what is unfinished, and exit now."""


@dataclass(frozen=True, slots=True)
class AdmissionReply:
    """The message in *row* may start; or, when *park* is not empty, it is to be dead-lettered for that reason."""

    row: int
    park: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a :class:`LineReader` returns for a line that is no note; *line* is its first 80 bytes."""

    line: bytes


Note = (
    ChildStarted
    | ChildReady
    | ChildStandby
    | ChildAway
    | PhaseEntered
    | AdmissionRequest
    | AdmissionClosed
    | Heartbeat
    | ChildFailed
    | ChildStopped
    | CannotBoot
    | DrainOrder
    | ReleaseOrder
    | AdmissionReply
)

_KINDS: Final[dict[str, type[Note]]] = {
    "started": ChildStarted,
    "ready": ChildReady,
    "standby": ChildStandby,
    "away": ChildAway,
    "entered": PhaseEntered,
    "admission_request": AdmissionRequest,
    "admission_closed": AdmissionClosed,
    "heartbeat": Heartbeat,
    "failed": ChildFailed,
    "stopped": ChildStopped,
    "cannot_boot": CannotBoot,
    "drain": DrainOrder,
    "release": ReleaseOrder,
    "admission_reply": AdmissionReply,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_TYPES: Final = {kind: get_type_hints(kind) for kind in _NAMES}


def encode(note: Note) -> bytes:
    """*note* as one line that ends with a newline; ``ValueError`` when it is longer than :data:`LONGEST_LINE`."""
    line = json.dumps({"note": _NAMES[type(note)], **asdict(note)}).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a note of {len(line)} bytes is too long: {_NAMES[type(note)]}")
    return line


def decode(line: bytes) -> Note:
    """The note in *line*; ``ValueError`` when it is no note, or when a field has another type."""
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
    """Turns pieces of a stream into notes; keeps an unfinished line, up to :data:`LONGEST_LINE` bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False  # until the end of a line that was too long

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
