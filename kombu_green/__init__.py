"""Messaging with kombu's vocabulary, built for gevent.

``from kombu_green import Message`` works for every name of the table below, which also says where the name is at
home. Importing the package alone imports nothing: no driver, no gevent, none of its own modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kombu_green.connection import BrokerConnection as BrokerConnection
    from kombu_green.connection import Connection as Connection
    from kombu_green.entity import Exchange as Exchange
    from kombu_green.entity import Queue as Queue
    from kombu_green.entity import binding as binding
    from kombu_green.message import Message as Message
    from kombu_green.messaging import Consumer as Consumer
    from kombu_green.messaging import Producer as Producer
    from kombu_green.serialization import disable_insecure_serializers as disable_insecure_serializers
    from kombu_green.serialization import enable_insecure_serializers as enable_insecure_serializers
    from kombu_green.worker.app import Worker as Worker

__version__ = "0.1.0"

_HOMES = {
    "BrokerConnection": "connection",
    "Connection": "connection",
    "Consumer": "messaging",
    "Exchange": "entity",
    "Message": "message",
    "Producer": "messaging",
    "Queue": "entity",
    "Worker": "worker.app",
    "binding": "entity",
    "disable_insecure_serializers": "serialization",
    "enable_insecure_serializers": "serialization",
}

__all__ = [
    "BrokerConnection",
    "Connection",
    "Consumer",
    "Exchange",
    "Message",
    "Producer",
    "Queue",
    "Worker",
    "__version__",
    "binding",
    "disable_insecure_serializers",
    "enable_insecure_serializers",
]


if not TYPE_CHECKING:  # a type checker goes by the names above, and would take any other for granted

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
