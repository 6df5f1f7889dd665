"""What was meant by a name that nobody knows: said in every error about one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'concurrency'?`` when one of *known* is near, else the whole list when that is short."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if near:
        return f"; did you mean {by_lower[near[0]]!r}?"
    if 0 < len(by_lower) <= 12:
        return f"; known are {', '.join(sorted(by_lower.values()))}"
    return ""
