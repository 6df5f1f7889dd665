"""The life cycle of everything that lives long: start, stop by a deadline, in reverse order.

Starting what runs and stopping what is stopped do nothing; what was stopped can be started again.
"""

from __future__ import annotations

import logging
from typing import Final

from kombu_green.clock import Deadline

__all__ = ["Service", "Services"]

log = logging.getLogger(__name__)


class Service:
    """Something that is started, runs, and is stopped within a deadline.

    Subclasses write :meth:`on_start` and :meth:`on_stop`; a failed start calls ``on_stop`` for what was half begun.
    """

    _running: bool = False

    @property
    def running(self) -> bool:
        return self._running

    def start(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            self.on_start()
        except BaseException:
            self._running = False
            self.on_stop(Deadline.after(0))
            raise

    def stop(self, deadline: Deadline) -> None:
        if not self._running:
            return
        self._running = False
        self.on_stop(deadline)

    def on_start(self) -> None:
        """Called by the first :meth:`start`; what it raises is the caller's."""

    def on_stop(self, deadline: Deadline) -> None:
        """Called once for each start; must come back by *deadline*, also after a start that failed half way."""


class Services(Service):
    """Several services as one: started in order, stopped in reverse, whatever one of them raises."""

    def __init__(self, *members: Service) -> None:
        self.members: Final = list(members)

    def on_start(self) -> None:
        for member in self.members:
            member.start()

    def on_stop(self, deadline: Deadline) -> None:
        for member in reversed(self.members):
            try:
                member.stop(deadline)
            except Exception:
                log.exception("%s did not stop cleanly", type(member).__name__)
