"""The verb ``check``: everything but starting.  Prints every setting, where it came from, and what the transport can
do."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from kombu_green.child.arguments import Arguments
from kombu_green.child.work import Build
from kombu_green.config.effective import effective
from kombu_green.config.logs import configure
from kombu_green.config.problems import PERMANENT_ERRORS, problems_of
from kombu_green.config.reading import read
from kombu_green.exceptions import KombuError
from kombu_green.exit_codes import ExitCode

__all__ = ["check"]


def check(arguments: Arguments, build: Build) -> int:
    """Print the settings and what the transport promises; returns 0, 78 (cannot boot) or 1 (no answer)."""
    try:
        settings = read(arguments.file, arguments.overrides)
        configure(settings.logging)
        work = build(settings)
        described = work.describe()
    except PERMANENT_ERRORS as error:
        for problem in problems_of(error):
            sys.stderr.write(f"kombu-worker: {problem}\n")
        return ExitCode.CANNOT_BOOT
    except KombuError as error:
        sys.stderr.write(f"kombu-worker: {type(error).__name__}: {error}\n")
        return ExitCode.FAILED
    section = None
    for setting in effective(settings):
        if setting.section != section:
            section = setting.section
            _print(f"[{section}]")
        _print(f"{setting.key} = {setting.value}".ljust(48) + f"  # {setting.origin}")
    _print("", *_table(described))
    return ExitCode.DONE


def _table(described: list[tuple[str, str]]) -> Iterable[str]:
    width = max((len(name) for name, _ in described), default=0)
    return (f"{name.ljust(width)}  {words}" for name, words in described)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
