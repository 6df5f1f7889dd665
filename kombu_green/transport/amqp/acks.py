"""Which deliveries of a channel are not settled yet, and in what frames those that are can be told.  Pure.

An ack for many (``multiple``) settles every earlier delivery of the channel too, so it may be written only up to the
oldest one that is still held: acking a run of neighbouring tags would ack an earlier message whose callback still
runs, and lose it.  It must name a tag that the broker still waits for; one that it was told before is answered with 406
and the end of the channel.  Rejected tags are told first, so that an ack for many never takes them along.
"""

from __future__ import annotations

from typing import Final

from kombu_green.exceptions import MessageStateError
from kombu_green.transport.amqp.methods import ack_frame, nack_frame

__all__ = ["Acks"]


class Acks:
    """Tags count up in the order of deliveries.  What was settled waits until :meth:`frames` is asked."""

    __slots__ = ("_acked", "_held", "_number", "_rejected")

    def __init__(self, number: int) -> None:
        self._number: Final = number
        self._held: dict[int, None] = {}  # in the order of deliveries
        self._acked: list[int] = []
        self._rejected: list[tuple[int, bool]] = []

    def delivered(self, tag: int) -> None:
        """The broker waits for *tag*."""
        self._held[tag] = None

    @property
    def held(self) -> int:
        """How many the broker waits for and nobody has settled."""
        return len(self._held)

    @property
    def pending(self) -> int:
        """How many are settled and were not told yet."""
        return len(self._acked) + len(self._rejected)

    def ack(self, tag: int, multiple: bool = False) -> None:
        """Settle *tag*, or with *multiple* every one up to it (all of them when it is 0)."""
        if multiple:
            tags = [held for held in self._held if held <= tag or not tag]
            if tag and (not tags or tags[-1] != tag):
                raise _not_held(tag)
            for each in tags:
                del self._held[each]
            self._acked += tags
            return
        try:
            del self._held[tag]
        except KeyError:
            raise _not_held(tag) from None
        self._acked.append(tag)

    def reject(self, tag: int, requeue: bool) -> None:
        """Give *tag* up, or back."""
        try:
            del self._held[tag]
        except KeyError:
            raise _not_held(tag) from None
        self._rejected.append((tag, requeue))

    def forget(self) -> None:
        """The broker takes back all that is held; what is settled is still told."""
        self._held.clear()

    def frames(self) -> bytes:
        """The frames that tell what is pending, in as few as are safe; nothing is pending afterwards."""
        acked, rejected = self._acked, self._rejected
        number = self._number
        if len(acked) == 1 and not rejected:
            self._acked = []
            return ack_frame(number, acked[0], False)
        parts = [nack_frame(number, tag, requeue) for tag, requeue in rejected]
        if acked:
            oldest = next(iter(self._held), None)
            prefix = [tag for tag in acked if oldest is None or tag < oldest]
            if prefix:
                parts.append(ack_frame(number, max(prefix), len(prefix) > 1))
            if len(prefix) < len(acked):
                parts += [ack_frame(number, tag, False) for tag in acked if oldest is not None and tag > oldest]
        self._acked, self._rejected = [], []
        return b"".join(parts)


def _not_held(tag: object) -> MessageStateError:
    return MessageStateError(f"delivery {tag!r} is not held by this channel: it was settled, or given back")
