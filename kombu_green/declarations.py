"""Queues and exchanges as they are declared, whatever the broker: plain values without a channel.

:mod:`kombu_green.entity` has what users declare with; transports compare, check and keep these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ExchangeSpec", "QueueSpec"]


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue as it was declared.

    ``arguments`` are AMQP's (``x-dead-letter-exchange``, ``x-message-ttl`` in ms, …).
    """

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """An exchange as it was declared; ``type`` is direct, fanout, topic or headers."""

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
