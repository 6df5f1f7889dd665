"""The declaration of a setting: its key, kind, default and one sentence, kept in the metadata of its dataclass field.

The loader, ``--check`` and the reference page all read it with :func:`declarations`.
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
    """One setting.

    ``key`` is its name in the file.  A key that ends in ``*`` is open: it stands for every key with that prefix, and
    the setting is a mapping from the rest of the key to the value.
    """

    field: str
    key: str
    kind: Kind[Any]
    sentence: str
    default: Any  # MISSING if the setting is required

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def is_open(self) -> bool:
        return self.key.endswith("*")

    @property
    def prefix(self) -> str:
        """The key without its ``*``."""
        return self.key.removesuffix("*")


def declared(kind: Kind[Any], sentence: str, *, key: str | None = None) -> Mapping[str, Any]:
    """The metadata of a setting's ``dataclasses.field``; *key* if it differs from the field's name."""
    return {_METADATA: (kind, sentence, key)}


def declarations(settings: type) -> tuple[Declaration, ...]:
    """The settings that the dataclass *settings* declares, in the order of its fields."""
    found = []
    for field in fields(settings):
        if _METADATA not in field.metadata:
            continue
        kind, sentence, key = field.metadata[_METADATA]
        factory = field.default_factory
        default = field.default if factory is MISSING else factory()
        found.append(Declaration(field.name, key or field.name, kind, sentence, default))
    return tuple(found)
