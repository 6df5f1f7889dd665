"""Asking the launchers of a state folder how they are; the other end of :mod:`kombu_green.launcher.reception`."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kombu_green.clock import Deadline
from kombu_green.launcher.reception import SUFFIX, reachable

__all__ = ["Answer", "ask"]

_LONGEST: int = 16 * 1024 * 1024  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What the launcher *pid* said; ``told`` is None when it did not answer in time."""

    pid: int
    told: Mapping[str, Any] | None


def ask(folder: Path, seconds: float) -> list[Answer]:
    """The answers of all launchers that have a socket in *folder*, by pid; each may take so many *seconds*.

    A socket that nobody listens to any more is removed.
    """
    found = sorted((int(path.stem), path) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
    answers = (_ask(pid, path, Deadline.after(seconds)) for pid, path in found)
    return [answer for answer in answers if answer is not None]


def _ask(pid: int, path: Path, deadline: Deadline) -> Answer | None:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(deadline.remaining())
            with reachable(path) as name:
                connection.connect(name)
            return Answer(pid, _document(connection, deadline))
    except ConnectionRefusedError:  # it was killed, and nobody tidied up after it
        with suppress(OSError):
            path.unlink()
        return None
    except FileNotFoundError:  # it has ended just now
        return None
    except (OSError, ValueError):
        return Answer(pid, None)


def _document(connection: socket.socket, deadline: Deadline) -> Mapping[str, Any]:
    """Everything that comes; ``ValueError`` when it is no JSON object."""
    pieces, size = [], 0
    while size <= _LONGEST:
        connection.settimeout(max(deadline.remaining() or 0.0, 0.001))
        piece = connection.recv(65536)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    told = json.loads(b"".join(pieces))
    if not isinstance(told, dict):
        raise ValueError("not an object")
    return told
