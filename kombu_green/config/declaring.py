"""How a setting is declared, once: its kind, its one sentence and its key stand in the metadata of its dataclass field.

The reader, ``--check``, ``--set`` and the reference page all go through :func:`declarations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from kombu_green.config.kinds import Kind

__all__ = ["Declaration", "declarations", "declared"]

_METADATA: Final = "kombu_green.setting"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting.  ``key`` is its name in the file; one that ends in ``*`` gathers every key that starts so."""

    field: str
    key: str
    kind: Kind[Any]
    sentence: str
    default: Any  # MISSING for a required one

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def gathers(self) -> bool:
        return self.key.endswith("*")

    @property
    def prefix(self) -> str:
        """What the keys that it gathers start with."""
        return self.key.removesuffix("*")


def declared(kind: Kind[Any], sentence: str, *, key: str | None = None) -> Mapping[str, Any]:
    """Metadata for ``dataclasses.field``; *key* where it is not the field's own name."""
    return {_METADATA: (kind, sentence, key)}


def declarations(settings: type) -> tuple[Declaration, ...]:
    """The settings that the dataclass *settings* declares, in its order."""
    found = []
    for field in fields(settings):
        if _METADATA not in field.metadata:
            continue
        kind, sentence, key = field.metadata[_METADATA]
        factory = field.default_factory
        default = field.default if factory is MISSING else factory()
        found.append(Declaration(field.name, key or field.name, kind, sentence, default))
    return tuple(found)
