"""The life cycle of long-lived objects: started, stopped by a deadline, and started again if need be."""

from __future__ import annotations

from kombu_green.clock import Deadline

__all__ = ["Service"]


class Service:
    """Something that is started, runs, and is stopped by a deadline.

    Subclasses implement :meth:`on_start` and :meth:`on_stop`.  Starting a running service and stopping a stopped one do
    nothing.  If ``on_start`` raises, ``on_stop`` is called to undo what was begun, and the error is raised.
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
        """Called by :meth:`start` unless the service runs."""

    def on_stop(self, deadline: Deadline) -> None:
        """Called once for each start, also for one that failed half way; has to return by *deadline*."""
