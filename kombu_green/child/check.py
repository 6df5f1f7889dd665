"""The verb ``check``: build the worker without starting it, and print every setting and what the transport can do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kombu_green.child.process import SupervisedWorker
from kombu_green.config.declaration import Declaration, declarations
from kombu_green.config.loader import read_settings
from kombu_green.config.logs import configure
from kombu_green.config.problems import PERMANENT_ERRORS, problems_of
from kombu_green.config.settings import Settings
from kombu_green.exceptions import KombuError
from kombu_green.exit_codes import ExitCode

__all__ = ["EffectiveSetting", "check", "effective_settings"]

_MASK: Final = "**"
_SECRET_WORDS: Final = ("password", "passwd", "secret", "token", "credential", "private")  # in a key
_ORIGIN_COLUMN: Final = 48


def check(file: Path, overrides: Sequence[str], build: Callable[[Settings], SupervisedWorker]) -> int:
    """Print the settings of *file* and the description of the worker that *build* makes of them.

    Returns 0, 78 (a worker with these settings cannot boot) or 1 (another error, such as a broker that is down).
    """
    try:
        settings = read_settings(file, overrides)
        configure(settings.logging)
        description = build(settings).describe()
    except PERMANENT_ERRORS as error:
        for problem in problems_of(error):
            sys.stderr.write(f"kombu-worker: {problem}\n")
        return ExitCode.CANNOT_BOOT
    except KombuError as error:
        sys.stderr.write(f"kombu-worker: {type(error).__name__}: {error}\n")
        return ExitCode.FAILED
    section = None
    for setting in effective_settings(settings):
        if setting.section != section:
            section = setting.section
            _print(f"[{section}]")
        _print(f"{setting.key} = {setting.value}".ljust(_ORIGIN_COLUMN) + f"  # {setting.origin}")
    _print("", *_two_columns(description))
    return ExitCode.DONE


def _two_columns(pairs: list[tuple[str, str]]) -> Iterable[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return (f"{name.ljust(width)}  {text}" for name, text in pairs)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


class EffectiveSetting(NamedTuple):
    """One setting: ``section`` and ``key`` as in the file, ``value`` as it could be written there (``**`` for a
    secret), and ``origin``: the file and line, ``--set``, an environment variable or ``default``."""

    section: str
    key: str
    value: str
    origin: str


def effective_settings(settings: Settings) -> Iterator[EffectiveSetting]:
    """Every setting with a value or a default, section by section."""
    yield from _section(settings, "worker", settings.worker)
    yield from _section(settings, "broker", settings.broker)
    named: list[tuple[str, Mapping[str, Any]]] = [
        ("exchange", settings.exchanges),
        ("queue", settings.queues),
        ("consumer", settings.consumers),
        ("retry", settings.retries),
    ]
    for kind, sections in named:
        for name, values in sections.items():
            yield from _section(settings, f"{kind}:{name}", values)
    yield from _section(settings, "logging", settings.logging)


def _section(settings: Settings, section: str, values: Any) -> Iterator[EffectiveSetting]:
    for declaration in declarations(type(values)):
        value = getattr(values, declaration.field)
        if declaration.is_open:
            for rest, one in value.items():
                yield _effective(settings, section, declaration.prefix + rest, declaration, one)
        elif value is not None:
            yield _effective(settings, section, declaration.key, declaration, value)


def _effective(settings: Settings, section: str, key: str, declaration: Declaration, value: Any) -> EffectiveSetting:
    origin = settings.origins.get((section, key))
    secret = (origin is not None and origin.secret) or any(word in key.lower() for word in _SECRET_WORDS)
    shown = _MASK if secret else declaration.kind.show(value)
    return EffectiveSetting(section, key, shown, str(origin or "default"))
