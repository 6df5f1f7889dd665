"""A message's content, copied so that nothing that can be changed is shared."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from kombu_green.exceptions import EncodeError
from kombu_green.message import Content

__all__ = ["private_copy"]

_IMMUTABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})


def private_copy(content: Content) -> Content:
    """:exc:`~kombu_green.exceptions.EncodeError` for a header that cannot be copied."""
    return Content(
        content.body,
        content.content_type,
        content.content_encoding,
        _copied(content.headers),
        _copied(content.properties),
    )


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    for value in values.values():
        if type(value) not in _IMMUTABLE:
            try:
                return deepcopy(values)
            except Exception as error:
                raise EncodeError(f"a header that cannot be copied: {type(error).__name__}: {error}") from error
    return values.copy()
