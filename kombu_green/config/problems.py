"""What is wrong with a configuration, said so that it can be put right: file, line, section, key, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kombu_green.exceptions import KombuError

__all__ = ["ConfigError", "Problem", "did_you_mean"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.  ``where`` is ``conf/media.ini:7``, ``--set worker.processes``, or empty when no place fits."""

    message: str
    where: str = ""
    section: str = ""
    key: str = ""

    def __str__(self) -> str:
        place = f"[{self.section}] {self.key}".rstrip() if self.section else self.key
        return ": ".join(part for part in (self.where, place, self.message) if part)


class ConfigError(KombuError):
    """Everything that is wrong with a configuration, all at once, in the order of the file; never empty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'concurrency'?`` when one of *known* is near, else the whole list when that is short."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if near:
        return f"; did you mean {by_lower[near[0]]!r}?"
    if 0 < len(by_lower) <= 12:
        return f"; known are {', '.join(sorted(by_lower.values()))}"
    return ""
