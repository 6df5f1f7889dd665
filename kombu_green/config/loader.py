"""Reads an ini file into :class:`~kombu_green.config.settings.Settings` and reports all problems at once.

Found here is everything that is wrong without knowing the application and the broker: unknown names, bad or missing
values, and references between sections that lead nowhere or contradict each other.  The launcher prints the problems;
each worker process reads the same file again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final, TypeVar

from kombu_green.config.declaration import Declaration, declarations
from kombu_green.config.ini import Section, Value, apply_overrides, expand_variables, read_ini, read_secret
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

__all__ = ["NAMED", "SINGLE", "read_settings", "read_state_setting"]

S = TypeVar("S")

#: sections that a file has once, by name
SINGLE: Final[Mapping[str, type]] = {"worker": WorkerSettings, "broker": BrokerSettings, "logging": LoggingSettings}
#: sections that a file has once for each name: ``[queue:NAME]``
NAMED: Final[Mapping[str, type]] = {
    "exchange": ExchangeSettings,
    "queue": QueueSettings,
    "consumer": ConsumerSettings,
    "retry": RetrySettings,
}


def read_settings(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings in *file*, with *overrides* (``section.key=value``) on top and *environ* for ``${NAME}``.

    Raises :exc:`~kombu_green.config.problems.ConfigError` with all syntax errors; if there is none, with all other
    problems, in the order of the file.
    """
    file = Path(file)
    sections = apply_overrides(read_ini(file), overrides, Path.cwd())
    loader = _Loader(environ)
    settings = loader.settings(file, sections)
    problems = [*loader.problems, *_reference_problems(settings)]
    if problems:
        raise ConfigError(sorted(problems, key=_order))
    return settings


def read_state_setting(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """Settings with nothing but ``[worker] state`` of *file*: enough to find its launcher.

    Everything else in the file is ignored.  It may have become wrong since the launcher was started, or refer to
    variables that only the launcher's environment has.
    """
    file = Path(file)
    section = apply_overrides(read_ini(file), overrides, Path.cwd()).get("worker")
    named = {} if section is None else {key: value for key, value in section.values.items() if key == "state"}
    loader = _Loader(environ)
    settings = loader.settings(file, {"worker": replace(section, values=named)} if section and named else {})
    if loader.problems:
        raise ConfigError(loader.problems)
    return settings


def _order(problem: Problem) -> tuple[bool, int]:
    """The sort key of *problem*: its line; those without a line come last."""
    _, _, line = problem.where.rpartition(":")
    return (not line.isdecimal(), int(line) if line.isdecimal() else 0)


class _Loader:
    """Turns sections into settings, and collects the problems and the origin of each value."""

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
        """A *cls* with the values of *section* beside *values*; a wrong value becomes a problem and has its default."""
        declared = declarations(cls)
        for setting in declared:
            if setting.is_open:
                values[setting.field] = {}
            elif setting.required:
                values[setting.field] = setting.kind.empty
                if setting.key not in section.values:
                    self.problems.append(Problem("is missing", section.where, title, setting.key))
        for key, value in section.values.items():
            found = _find(declared, key)
            if found is None:
                known = [other.key for other in declared]
                self.problems.append(
                    Problem(f"there is no such key{did_you_mean(key, known)}", value.where, title, key)
                )
            else:
                self.put(values, found, value, title, key)
        return cls(**values)

    def put(self, values: dict[str, Any], setting: Declaration, value: Value, title: str, key: str) -> None:
        """Read one value into *values*, or add a problem, which never contains a secret."""
        secret = None
        try:
            text, variables = expand_variables(value.text, self.environ)
            secret = read_secret(text, value.folder)
            read = _read(setting, text if secret is None else secret, value.folder)
        except ValueError as error:
            message = str(error) if secret is None else "what the file holds is no " + setting.kind.name
            self.problems.append(Problem(mask(message), value.where, title, key))
            return
        if setting.is_open:
            values[setting.field][key.removeprefix(setting.prefix)] = read
        else:
            values[setting.field] = read
        where = ", ".join([value.where, *(f"environment {name}" for name in variables)])
        self.origins[title, key] = Origin(where, secret=secret is not None)


def _read(setting: Declaration, text: str, folder: Path) -> Any:
    if not text and (setting.required or setting.kind.empty != ()):  # only an optional list may be empty
        raise ValueError("has no value")
    return setting.kind.read(text, folder)


def _find(declared: tuple[Declaration, ...], key: str) -> Declaration | None:
    """The declaration that *key* belongs to: of that key, or of an open key with its prefix."""
    for setting in declared:
        if setting.key == key or (setting.is_open and key.startswith(setting.prefix) and key != setting.prefix):
            return setting
    return None


def _unknown(title: str, kind: str, name: str) -> str:
    """The message for a section *title* (``kind:name``) that cannot be read."""
    if kind in SINGLE:
        return f"there is one such section only: write [{kind}]"
    if kind in NAMED and name:
        return "there is such a section already"
    if kind in NAMED:
        return f"needs a name: [{kind}:NAME]"
    near = did_you_mean(kind, [*SINGLE, *NAMED])
    return f"there is no such section{near}"


def _reference_problems(settings: Settings) -> Iterator[Problem]:
    """What does not fit together across the sections of *settings*."""
    yield from _missing_sections(settings)
    for queue in settings.queues.values():
        yield from _queue_problems(settings, queue)
    for consumer in settings.consumers.values():
        yield from _consumer_problems(settings, consumer)
    for first, second in combinations(settings.consumers.values(), 2):
        yield from _shared_queues(settings, first, second)


def _missing_sections(settings: Settings) -> Iterator[Problem]:
    if ("broker", "") not in settings.origins:
        yield settings.problem("broker", "url", "is missing: add [broker] with url = the broker's address")
    if not settings.consumers and settings.worker.app is None:
        yield settings.problem("", "", "nothing to do: add a [consumer:NAME] with queue and callback")


def _queue_problems(settings: Settings, queue: QueueSettings) -> Iterator[Problem]:
    title = f"queue:{queue.name}"
    if queue.exchange is not None and queue.exchange not in settings.exchanges:
        yield settings.problem(
            title,
            "exchange",
            f"no [exchange:{queue.exchange}] describes it{did_you_mean(queue.exchange, settings.exchanges)}",
        )
    if queue.routing_key is not None and queue.exchange is None:
        yield settings.problem(
            title,
            "routing_key",
            "needs an exchange: the nameless one knows a queue by its own name only",
        )


def _consumer_problems(settings: Settings, consumer: ConsumerSettings) -> Iterator[Problem]:
    title = f"consumer:{consumer.name}"
    if consumer.retry is not None and consumer.retry not in settings.retries:
        yield settings.problem(
            title, "retry", f"no [retry:{consumer.retry}] describes it{did_you_mean(consumer.retry, settings.retries)}"
        )
    if consumer.callback is None and settings.worker.app is None:
        yield settings.problem(title, "callback", "is missing: give a callback here, or [worker] app = module:name")
    if consumer.callback is not None and settings.worker.app is not None:
        yield settings.problem(title, "callback", "[worker] app brings the callbacks already: leave out one of the two")


def _shared_queues(settings: Settings, first: ConsumerSettings, second: ConsumerSettings) -> Iterator[Problem]:
    for queue in first.queues:
        if queue in second.queues:
            yield settings.problem(
                f"consumer:{second.name}", "queue", f"[consumer:{first.name}] takes the messages of {queue!r} already"
            )
