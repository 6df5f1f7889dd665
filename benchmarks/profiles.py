"""Where the time of a round went, by function."""

from __future__ import annotations

import pstats
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["shown"]

TOP = 25
_HEAD = f"  {'own ms':>9}  {'with all it calls':>17}  {'calls':>9}  function"


def shown(file: Path, root: Path) -> str:
    """The functions with the most time of their own.

    What a function is charged with includes waiting, and greenlets blur the time with calls: the own time is right.
    """
    stats: dict[tuple[str, int, str], tuple[Any, ...]] = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    ordered = sorted(stats.items(), key=lambda item: -item[1][2])[:TOP]
    return "\n".join([f"{file.name}:", _HEAD, *_lines(ordered, root)])


def _lines(ordered: list[tuple[tuple[str, int, str], tuple[Any, ...]]], root: Path) -> Iterator[str]:
    for (path, line, function), (_, calls, own, total, _) in ordered:
        yield f"  {own * 1e3:9.1f}  {total * 1e3:17.1f}  {calls:9}  {_place(path, line, root)}{function}"


def _place(path: str, line: int, root: Path) -> str:
    """Short, and still to be found: beneath the checkout or an installed package."""
    if path == "~":
        return ""
    _, installed, package = path.rpartition("/site-packages/")
    short = package if installed else path.removeprefix(f"{root}/")
    return f"{short}:{line} "
