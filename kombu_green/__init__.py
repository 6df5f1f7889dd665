"""Messaging with kombu's vocabulary, built for gevent.

``from kombu_green import Message`` works for every name of the table below, which also says where the name is at
home. Importing the package alone imports nothing: no driver, no gevent, none of its own modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kombu_green.message import Message as Message

__version__ = "0.1.0"

_HOMES = {
    "Message": "message",
}

__all__ = ["Message", "__version__"]


if not TYPE_CHECKING:  # a type checker goes by the names above, and would take any other for granted

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
