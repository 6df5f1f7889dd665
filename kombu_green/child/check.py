"""The verb ``check``: build the worker without starting it, and print every setting and what the transport can do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from kombu_green.child.orphan import call_after
from kombu_green.child.process import SupervisedWorker
from kombu_green.config.boot_errors import located
from kombu_green.config.declaration import Declaration, declarations
from kombu_green.config.kinds import show_duration
from kombu_green.config.loader import read_settings
from kombu_green.config.logs import configure
from kombu_green.config.problems import PERMANENT_ERRORS, problems_of
from kombu_green.config.settings import Settings
from kombu_green.exceptions import KombuError
from kombu_green.exit_codes import ExitCode
from kombu_green.plugins import importing
from kombu_green.printable import printable

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
        with located(settings):
            with _bounded_imports(settings):
                worker = build(settings)
            description = worker.describe()
    except PERMANENT_ERRORS as error:
        for problem in problems_of(error):
            sys.stderr.write(f"kombu-worker: {printable(problem)}\n")
        return ExitCode.CANNOT_BOOT
    except KombuError as error:
        sys.stderr.write(f"kombu-worker: {type(error).__name__}: {printable(str(error))}\n")
        return ExitCode.FAILED
    section = None
    for setting in effective_settings(settings):
        if setting.section != section:
            section = setting.section
            _print(f"[{section}]")
        written = f"# {setting.key} =" if setting.value is None else f"{setting.key} = {setting.value}"
        _print(written.ljust(_ORIGIN_COLUMN) + f"  # {setting.origin}")
    _print("", *_two_columns(description))
    return ExitCode.DONE


@contextmanager
def _bounded_imports(settings: Settings) -> Iterator[None]:
    """End this process with 78 when the block takes longer than ``start_timeout``, as a launcher would end a worker.

    A native thread watches, since an import may keep the hub from running.
    """
    seconds = settings.worker.start_timeout
    done = False

    def refuse() -> None:
        if not done:
            module = importing()
            what = "building the worker" if module is None else f"importing {module}"
            text = f"{what} takes longer than start_timeout, {show_duration(seconds)}"
            os.write(2, f"kombu-worker: {settings.problem('worker', 'start_timeout', text)}\n".encode())
            os._exit(ExitCode.CANNOT_BOOT)

    call_after(seconds, refuse)
    try:
        yield
    finally:
        done = True


def _two_columns(pairs: list[tuple[str, str]]) -> Iterable[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return (f"{name.ljust(width)}  {text}" for name, text in pairs)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


class EffectiveSetting(NamedTuple):
    """One setting: ``section`` and ``key`` as in the file, ``value`` as it could be written there (``**`` for a
    secret), None if it has none, and ``origin``: the file and line, ``--set``, an environment variable or ``default``.
    """

    section: str
    key: str
    value: str | None
    origin: str


def effective_settings(settings: Settings) -> Iterator[EffectiveSetting]:
    """Every setting, section by section; of open keys those that are set."""
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
        else:
            yield _effective(settings, section, declaration.key, declaration, value)


def _effective(settings: Settings, section: str, key: str, declaration: Declaration, value: Any) -> EffectiveSetting:
    origin = settings.origins.get((section, key))
    secret = (origin is not None and origin.secret) or any(word in key.lower() for word in _SECRET_WORDS)
    shown = None if value is None else _MASK if secret else declaration.kind.show(value)
    return EffectiveSetting(section, key, shown, str(origin or "default"))
