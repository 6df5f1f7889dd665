"""The broker asks publishers to wait: memory or disk is short (https://www.rabbitmq.com/connection-blocked.html)."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import BrokerBlocked
from kombu_green.transport.amqp.waiting import Gate

__all__ = ["Blocking"]

log = logging.getLogger(__name__)


class Blocking:
    """Whether one connection may publish.  Both changes are logged, once each."""

    def __init__(self, hub: Hub, name: str) -> None:
        #: what the broker said; None while it takes messages
        self.reason: str | None = None
        #: how often it has asked
        self.times = 0
        self._name: Final = name
        self._since = 0.0
        self._gate: Final = Gate(hub)

    def begin(self, reason: str) -> None:
        if self.reason is None:
            self.times += 1
            self._since = monotonic()
            log.warning("%s: the broker takes no messages for now: %s", self._name, reason)
        self.reason = reason or "no reason given"

    def end(self) -> None:
        if self.reason is not None:
            seconds = monotonic() - self._since
            log.info("%s: the broker takes messages again, after %.1f s", self._name, seconds)
        self.reason = None
        self._gate.open()

    def wait(self, deadline: Deadline, what: str) -> None:
        """Until it takes messages, or the connection ends; ``TimeoutError`` at *deadline*."""
        self._gate.wait(deadline, what)

    def let_go(self) -> None:
        """The connection has ended: nobody needs to wait any more."""
        self._gate.open()

    def too_late(self, error: TimeoutError) -> Exception:
        """What somebody is told whose deadline has passed: *error*, or that the broker is the reason."""
        if self.reason is None:
            return error
        return BrokerBlocked(f"{error}: the broker takes no messages: {self.reason}")
