"""The connections of one worker process: one that consumes, and one that publishes if the broker wants them apart."""

from __future__ import annotations

from typing import Final

from kombu_green.channel import Channel
from kombu_green.connection import Connection

__all__ = ["Connections"]


class Connections:
    """A broker in trouble stops reading from whoever publishes; acks must not be stuck behind that.

    So retries, dead letters and replies go over a connection of their own, if the transport's capabilities say so.
    """

    def __init__(self, consuming: Connection) -> None:
        self.consuming: Final = consuming
        self._publishing: Connection | None = None

    @property
    def publishing(self) -> Connection:
        """For what the worker itself publishes; connects when it is first asked for."""
        if self._publishing is None:
            apart = self.consuming.connect().capabilities.publish_apart
            self._publishing = self.consuming.clone() if apart else self.consuming
        return self._publishing

    def channel(self) -> Channel:
        """The channel to publish on; any greenlet may use it at any time."""
        return self.publishing.default_channel

    def close(self) -> None:
        """Close both: what was published is confirmed by now, and what was acked goes out first."""
        publishing, self._publishing = self._publishing, None
        if publishing is not None and publishing is not self.consuming:
            publishing.close()
        self.consuming.close()
