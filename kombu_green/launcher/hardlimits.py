"""When a process is ended for what it does: a message beyond its hard time limit, or too much memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kombu_green.ipc.recorder import Row, RowState
from kombu_green.launcher.blame import Manner

__all__ = ["LOOK_EVERY", "Doom", "next_look", "overdue", "too_large"]

#: seconds between two looks at a process: at its memory, when that has a limit, and at its rows
MEMORY_EVERY: Final = 0.1
LOOK_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Doom:
    """What a process is ended for; *overdue* has numbers and beginnings of the rows beyond their limits."""

    manner: Manner
    words: str
    overdue: frozenset[tuple[int, float]] = frozenset()


def overdue(rows: Iterable[Row], hub: int, heard: float | None, now: float) -> Doom | None:
    """Whether a row is beyond its hard time limit, and it is its own fault.

    While another row keeps the hub, one that waits beside it can do nothing: it counts when it has the hub itself, runs
    in a thread, or when the hub was *heard* to turn after its limit.
    """
    found = [
        row
        for row in rows
        if row.limit
        and (end := row.since + row.limit) < now
        and (row.number == hub or row.state is RowState.OFFLOADED or (heard is not None and heard > end))
    ]
    if not found:
        return None
    words = "; ".join(f"{row} runs longer than its hard time limit of {row.limit:g} s" for row in found[:5])
    return Doom(Manner.OVERDUE, words, frozenset((row.number, row.since) for row in found))


def too_large(memory: int | None, limit: int) -> Doom | None:
    """Whether *memory*, in bytes, is beyond *limit*; 0 is no limit, and None is not known."""
    if not limit or memory is None or memory <= limit:
        return None
    return Doom(Manner.MEMORY, f"has {memory >> 20} MB of memory (hard_memory = {limit >> 20} MB)")


def next_look(rows: Sequence[Row], memory_limit: int, now: float) -> float:
    """When to look at a process again that has *rows* now."""
    ends = [end for row in rows if row.limit and (end := row.since + row.limit) > now]
    return min([now + (MEMORY_EVERY if memory_limit else LOOK_EVERY), *ends])
