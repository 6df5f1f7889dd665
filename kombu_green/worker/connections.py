"""The connections of one worker process: one that consumes and, where the broker needs it, one that publishes."""

from __future__ import annotations

from typing import Final

from kombu_green.channel import Channel
from kombu_green.connection import Connection

__all__ = ["Connections"]


class Connections:
    """Under a memory or disk alarm a broker stops reading from connections that publish, and acks on them get stuck.

    So retries, dead letters and replies have a connection of their own, if the transport's capabilities say so.
    """

    def __init__(self, consuming: Connection) -> None:
        self.consuming: Final = consuming
        self._publishing: Connection | None = None

    @property
    def publishing(self) -> Connection:
        """The connection for what the worker itself publishes; made when it is first needed."""
        if self._publishing is None:
            apart = self.consuming.connect().capabilities.publish_apart
            self._publishing = self.consuming.clone() if apart else self.consuming
        return self._publishing

    def channel(self) -> Channel:
        """The channel to publish on; any greenlet may use it at any time."""
        return self.publishing.default_channel

    def close(self) -> None:
        """Close both.  What was published is confirmed by now; acks that are still collected are sent first."""
        publishing, self._publishing = self._publishing, None
        if publishing is not None and publishing is not self.consuming:
            publishing.close()
        self.consuming.close()
