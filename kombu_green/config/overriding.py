"""``--set section.key=value``: values from the command line, on top of the file's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kombu_green.config.ini import Section, Value
from kombu_green.config.problems import ConfigError, Problem

__all__ = ["override", "split"]


def split(text: str) -> tuple[str, str, str]:
    """Section, key and value of ``section.key=value``; ``ValueError`` when it is not of that form.

    The section ends at the last dot before the first ``=``, so that a queue's name may hold dots; but where
    ``.arguments.`` stands it ends there, since an argument's name is part of the key.

    >>> split("queue:video.hd.arguments.x-max-length=5")
    ('queue:video.hd', 'arguments.x-max-length', '5')
    """
    target, equals, value = text.partition("=")
    section, marker, argument = target.rpartition(".arguments.")
    key = f"arguments.{argument}"
    if not marker:
        section, _, key = target.rpartition(".")
    section, key = section.strip(), key.strip()
    if not (equals and section and key):
        raise ValueError(f"{target!r} does not say what to set: write section.key=value, such as worker.processes=2")
    return section, key, value.strip()


def override(sections: Mapping[str, Section], overrides: Sequence[str], folder: Path) -> dict[str, Section]:
    """*sections* with *overrides* on top, the last one of a key wins; relative paths in them start from *folder*."""
    changed = dict(sections)
    problems = []
    for text in overrides:
        try:
            name, key, value = split(text)
        except ValueError as error:
            problems.append(Problem(str(error), "--set"))
            continue
        where = f"--set {name}.{key}"
        section = changed.get(name, Section(where, {}))
        changed[name] = replace(section, values={**section.values, key: Value(value, where, folder)})
    if problems:
        raise ConfigError(problems)
    return changed
