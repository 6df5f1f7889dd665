"""What ``--check`` prints: every setting as it counts, and where it came from; secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from kombu_green.config.declaring import Declaration, declarations
from kombu_green.config.settings import Settings

__all__ = ["Effective", "effective"]

_MASK: Final = "**"
_TELLING: Final = ("password", "passwd", "secret", "token", "credential", "private")


class Effective(NamedTuple):
    """One setting: ``section`` and ``key`` as in the file, ``value`` as it could stand there, ``origin`` in words."""

    section: str
    key: str
    value: str
    origin: str


def effective(settings: Settings) -> Iterator[Effective]:
    """Every setting, section by section; one that has no value and no default is left out."""
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


def _section(settings: Settings, section: str, values: Any) -> Iterator[Effective]:
    for setting in declarations(type(values)):
        value = getattr(values, setting.field)
        if setting.gathers:
            for rest, one in value.items():
                yield _one(settings, section, setting.prefix + rest, setting, one)
        elif value is not None:
            yield _one(settings, section, setting.key, setting, value)


def _one(settings: Settings, section: str, key: str, setting: Declaration, value: Any) -> Effective:
    origin = settings.origins.get((section, key))
    hidden = (origin is not None and origin.secret) or any(word in key.lower() for word in _TELLING)
    shown = _MASK if hidden else setting.kind.show(value)
    return Effective(section, key, shown, str(origin or "default"))
