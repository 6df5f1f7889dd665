"""From text to :class:`~kombu_green.config.settings.Settings`, with every mistake that needs no application to be seen.

Called by the launcher, which prints the mistakes, and by each worker process, which reads the same file again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from kombu_green.config.checking import check
from kombu_green.config.declaring import Declaration, declarations
from kombu_green.config.expanding import expand, read_secret
from kombu_green.config.ini import Section, Value, read_file
from kombu_green.config.overriding import override
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.config.settings import (
    BrokerSettings,
    ConsumerSettings,
    ExchangeSettings,
    LoggingSettings,
    Origin,
    QueueSettings,
    RetrySettings,
    Settings,
    WorkerSettings,
)
from kombu_green.suggestions import did_you_mean
from kombu_green.url import mask

__all__ = ["NAMED", "SINGLE", "read", "read_state"]

S = TypeVar("S")

#: sections that stand for themselves, and those of which there is one for each name
SINGLE: Final[Mapping[str, type]] = {"worker": WorkerSettings, "broker": BrokerSettings, "logging": LoggingSettings}
NAMED: Final[Mapping[str, type]] = {
    "exchange": ExchangeSettings,
    "queue": QueueSettings,
    "consumer": ConsumerSettings,
    "retry": RetrySettings,
}


def read(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read *file*, with *overrides* (``section.key=value``) on top.

    Raises :exc:`ConfigError` with everything that is no ini syntax; or, when all of it is, with every unknown name,
    bad or missing value and dangling reference.
    """
    file = Path(file)
    sections = override(read_file(file), overrides, Path.cwd())
    reader = _Reader(environ)
    settings = reader.settings(file, sections)
    problems = [*reader.problems, *check(settings)]
    if problems:
        raise ConfigError(sorted(problems, key=_order))
    return settings


def read_state(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """Of *file* nothing but ``[worker] state``, for whoever looks for its launcher.

    All else is as if it were not there: it may be wrong meanwhile, or stand in an environment that is not this one.
    """
    file = Path(file)
    section = override(read_file(file), overrides, Path.cwd()).get("worker")
    named = {} if section is None else {key: value for key, value in section.values.items() if key == "state"}
    reader = _Reader(environ)
    settings = reader.settings(file, {"worker": replace(section, values=named)} if section and named else {})
    if reader.problems:
        raise ConfigError(reader.problems)
    return settings


def _order(problem: Problem) -> tuple[bool, int]:
    """By line; what has none comes last."""
    _, _, line = problem.where.rpartition(":")
    return (not line.isdecimal(), int(line) if line.isdecimal() else 0)


class _Reader:
    """Collects problems and origins while sections become settings."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = []
        self.origins: dict[tuple[str, str], Origin] = {}

    def settings(self, file: Path, sections: Mapping[str, Section]) -> Settings:
        single: dict[str, Any] = {}
        named: dict[str, dict[str, Any]] = {kind: {} for kind in NAMED}
        for written, section in sections.items():
            kind, _, name = (part.strip() for part in written.partition(":"))
            title = f"{kind}:{name}" if name else written  # [queue: video] is [queue:video]
            self.origins.setdefault((title, ""), Origin(section.where))
            if kind in SINGLE and ":" not in title:
                single[kind] = self.fill(SINGLE[kind], title, section, {})
            elif kind in NAMED and name and name not in named[kind]:
                named[kind][name] = self.fill(NAMED[kind], title, section, {"name": name})
            else:
                self.problems.append(Problem(_unknown(title, kind, name), section.where, title))
        return Settings(
            worker=single.get("worker") or WorkerSettings(),
            broker=single.get("broker") or BrokerSettings(url=""),
            exchanges=named["exchange"],
            queues=named["queue"],
            consumers=named["consumer"],
            retries=named["retry"],
            logging=single.get("logging") or LoggingSettings(),
            file=file,
            origins=self.origins,
        )

    def fill(self, cls: type[S], title: str, section: Section, values: dict[str, Any]) -> S:
        """A *cls* of the section's values.  One that is wrong is noted; its default, or nothing, stands in."""
        declared = declarations(cls)
        for setting in declared:
            if setting.gathers:
                values[setting.field] = {}
            elif setting.required:
                values[setting.field] = setting.kind.empty
                if setting.key not in section.values:
                    self.problems.append(Problem("is missing", section.where, title, setting.key))
        for key, value in section.values.items():
            setting_of_key = _find(declared, key)
            if setting_of_key is None:
                known = [other.key for other in declared]
                self.problems.append(
                    Problem(f"there is no such key{did_you_mean(key, known)}", value.where, title, key)
                )
            else:
                self.put(values, setting_of_key, value, title, key)
        return cls(**values)

    def put(self, values: dict[str, Any], setting: Declaration, value: Value, title: str, key: str) -> None:
        """Read one value into *values*, or note why that cannot be done, without showing a secret."""
        secret = None
        try:
            text, variables = expand(value.text, self.environ)
            secret = read_secret(text, value.folder)
            read = _read(setting, text if secret is None else secret, value.folder)
        except ValueError as error:
            message = str(error) if secret is None else "what the file holds is no " + setting.kind.name
            self.problems.append(Problem(mask(message), value.where, title, key))
            return
        if setting.gathers:
            values[setting.field][key.removeprefix(setting.prefix)] = read
        else:
            values[setting.field] = read
        where = ", ".join([value.where, *(f"environment {name}" for name in variables)])
        self.origins[title, key] = Origin(where, secret=secret is not None)


def _read(setting: Declaration, text: str, folder: Path) -> Any:
    if not text and (setting.required or setting.kind.empty != ()):  # a list may be empty, unless it must be given
        raise ValueError("has no value")
    return setting.kind.read(text, folder)


def _find(declared: tuple[Declaration, ...], key: str) -> Declaration | None:
    """The setting that *key* belongs to: its own, or one that gathers keys that start like it."""
    for setting in declared:
        if setting.key == key or (setting.gathers and key.startswith(setting.prefix) and key != setting.prefix):
            return setting
    return None


def _unknown(title: str, kind: str, name: str) -> str:
    """Why there is no section *title*."""
    if kind in SINGLE:
        return f"there is one such section only: write [{kind}]"
    if kind in NAMED and name:
        return "there is such a section already"
    if kind in NAMED:
        return f"needs a name: [{kind}:NAME]"
    near = did_you_mean(kind, [*SINGLE, *NAMED])
    return f"there is no such section{near}"
