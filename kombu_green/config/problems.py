"""Problems of a configuration, each with file, line, section, key and what to do, and errors that prevent a start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kombu_green.exceptions import (
    AccessRefused,
    KombuError,
    NotPatched,
    PluginError,
    PreconditionFailed,
    SerializerNotInstalled,
    UnsupportedOption,
)
from kombu_green.url import mask

__all__ = ["PERMANENT_ERRORS", "ConfigError", "Problem", "problems_of"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.  ``where`` is ``conf/media.ini:7``, ``--set worker.processes``, or empty if neither fits."""

    message: str
    where: str = ""
    section: str = ""
    key: str = ""

    def __str__(self) -> str:
        place = f"[{_shown(self.section)}] {_shown(self.key)}".rstrip() if self.section else _shown(self.key)
        return ": ".join(part for part in (self.where, place, self.message) if part)


def _shown(name: str) -> str:
    """The *name* of a section or key; one with a blank or a URL is a value at the wrong place, and masked."""
    return mask(name) if " " in name or "://" in name else name


class ConfigError(KombuError):
    """All problems of a configuration, in the order of the file; at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


#: errors that the next start would raise again, so that a process with one of them is not started again at once
PERMANENT_ERRORS: Final = (
    ConfigError,
    AccessRefused,
    NotPatched,
    PluginError,
    PreconditionFailed,
    SerializerNotInstalled,
    UnsupportedOption,
)


def problems_of(error: BaseException) -> list[str]:
    """The problems in *error*, one text each."""
    if isinstance(error, ConfigError):
        return [str(problem) for problem in error.problems]
    return [str(error) or type(error).__name__]
