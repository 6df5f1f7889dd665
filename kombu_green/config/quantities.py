"""Durations and sizes with units, read strictly and written back with the unit that fits."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LONGEST", "read_count", "read_duration", "read_size", "show_duration", "show_size"]

LONGEST: Final = 366 * 86400.0  # a longer wait overflows the poll calls of some systems, and nobody means it
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


def read_count(text: str) -> int:
    """A whole number from 1; ``ValueError`` says so."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def read_duration(text: str) -> float:
    """Seconds; ``ValueError`` says what a duration looks like."""
    if text == "0":
        return 0.0
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)", text)
    if match is None:
        hint = f": did you mean {text}s?" if re.fullmatch(r"[0-9.]+", text) else ", such as 500ms, 30s, 10m, 2h or 1d"
        raise ValueError(f"{text!r} is not a duration (a number with a unit){hint}")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if seconds > LONGEST:
        raise ValueError(f"{text} is too long: 366d or less")
    return seconds


def show_duration(seconds: float) -> str:
    """The shortest exact way to write it with one unit."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        if seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:.0f}{unit}"
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds:.6f}".rstrip("0") + "s"


def read_size(text: str) -> int:
    """Bytes; ``ValueError`` says what a size looks like."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text)
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size, such as 65536, 64KiB, 64MiB or 1GiB")
    return int(match[1]) * _SIZE_UNITS[match[2].lower()]


def show_size(value: int) -> str:
    """With the largest binary unit that needs no fraction."""
    for unit in ("GiB", "MiB", "KiB"):
        factor = _SIZE_UNITS[unit.lower()]
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)
