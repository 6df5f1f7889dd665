"""Delivery tags of one channel, in both directions: consumer acknowledgements and publisher confirms.

*Consumer acks.*  An ack with the bit ``multiple`` acks every earlier delivery of the channel as well.  It may therefore
only be written for tags below the oldest delivery that is still unacked; otherwise a message whose callback still runs
would be acked, and lost if the process dies.  A tag that the broker does not wait for is answered with 406, and the
channel is closed.  Rejects are written first, so that no ack with ``multiple`` includes a rejected tag.

*Publisher confirms.*  The broker numbers the publishes of a channel from 1 and confirms single numbers, or all up to
one, in any order.  An unroutable mandatory message is returned before it is confirmed, and returns come in the order of
publishing: a return belongs to the first mandatory publish with the same exchange, routing key and body.

A publish whose caller has given up stays registered, so that its late confirm and return are not taken for those of
another one; without its body, and the oldest are forgotten beyond :data:`MOST_GIVEN_UP`.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Any, Final

from kombu_green.exceptions import MessageNacked, MessageStateError, ProtocolError, Unroutable
from kombu_green.transport.amqp.protocol.frames import BASIC_ACK, BASIC_NACK, FRAME_END, METHOD
from kombu_green.transport.amqp.protocol.parser import Confirmed, MessageRoute

__all__ = ["MOST_GIVEN_UP", "ConsumerAcks", "PendingPublish", "PublisherConfirms", "ack_frame", "nack_frame"]

#: publishes of one channel that were given up and are still registered
MOST_GIVEN_UP: Final = 1000

_ack_or_nack: Final = Struct(">BHIIQBB").pack  # frame type, channel, size, method, delivery tag, bits, frame end

# -- consumer acks


def ack_frame(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """The whole frame of a basic.ack."""
    return _ack_or_nack(METHOD, channel, 13, BASIC_ACK, delivery_tag, multiple, FRAME_END)


def nack_frame(channel: int, delivery_tag: int, requeue: bool) -> bytes:
    """The whole frame of a basic.nack of one message."""
    return _ack_or_nack(METHOD, channel, 13, BASIC_NACK, delivery_tag, requeue << 1, FRAME_END)


class ConsumerAcks:
    """The unacked deliveries of one channel, and the acks and rejects that are not written yet.

    Delivery tags grow in the order of deliveries.  Acks and rejects wait here until :meth:`frames` is called.
    """

    __slots__ = ("_acked", "_channel", "_last", "_rejected", "_unacked")

    def __init__(self, channel: int) -> None:
        self._channel: Final = channel
        self._last = 0  # the tag of the newest delivery
        self._unacked: dict[int, None] = {}  # tags in the order of deliveries
        self._acked: list[int] = []
        self._rejected: list[tuple[int, bool]] = []  # tag, requeue

    def delivered(self, tag: int) -> None:
        """The broker waits for an ack or reject of *tag*; :exc:`ProtocolError` unless it is above all before it."""
        if tag <= self._last:
            raise ProtocolError(f"delivery tag {tag} came after {self._last}")
        self._last = tag
        self._unacked[tag] = None

    @property
    def unacked(self) -> int:
        """How many deliveries were neither acked nor rejected."""
        return len(self._unacked)

    @property
    def pending(self) -> int:
        """How many acks and rejects are not written yet."""
        return len(self._acked) + len(self._rejected)

    def ack(self, tag: int, multiple: bool = False) -> None:
        """Ack *tag*, or with *multiple* every unacked tag up to it (all of them when it is 0).

        :exc:`~kombu_green.exceptions.MessageStateError` when *tag* is not unacked.
        """
        if multiple:
            tags = [each for each in self._unacked if each <= tag or not tag]
            if tag and (not tags or tags[-1] != tag):
                raise _not_unacked(tag)
            for each in tags:
                del self._unacked[each]
            self._acked += tags
            return
        try:
            del self._unacked[tag]
        except KeyError:
            raise _not_unacked(tag) from None
        self._acked.append(tag)

    def reject(self, tag: int, requeue: bool) -> None:
        """Reject *tag*: it is dead-lettered, or with *requeue* put back into its queue."""
        try:
            del self._unacked[tag]
        except KeyError:
            raise _not_unacked(tag) from None
        self._rejected.append((tag, requeue))

    def forget(self) -> None:
        """Drop the unacked deliveries, which the broker requeues by itself.  Pending acks and rejects stay."""
        self._unacked.clear()

    def frames(self) -> bytes:
        """The frames of all pending acks and rejects, as few as are safe; nothing is pending afterwards."""
        acked, rejected = self._acked, self._rejected
        channel = self._channel
        if len(acked) == 1 and not rejected:
            self._acked = []
            return ack_frame(channel, acked[0], False)
        parts = [nack_frame(channel, tag, requeue) for tag, requeue in rejected]
        if acked:
            oldest = next(iter(self._unacked), None)
            prefix = [tag for tag in acked if oldest is None or tag < oldest]
            if prefix:
                parts.append(ack_frame(channel, max(prefix), len(prefix) > 1))
            if len(prefix) < len(acked):
                parts += [ack_frame(channel, tag, False) for tag in acked if oldest is not None and tag > oldest]
        self._acked, self._rejected = [], []
        return b"".join(parts)


def _not_unacked(tag: object) -> MessageStateError:
    return MessageStateError(f"delivery {tag!r} is not held by this channel: it was settled, or given back")


# -- publisher confirms


class PendingPublish:
    """One publish that was written and not confirmed yet.

    Once :attr:`settled`, :attr:`error` says what became of it; None is success.
    """

    __slots__ = ("digest", "error", "mandatory_body", "number", "returned", "route", "settled", "size", "waiter")

    def __init__(self, number: int, route: MessageRoute, mandatory_body: bytes | None) -> None:
        self.number: Final = number  # the broker's, from 1
        self.route: Final = route
        self.mandatory_body = mandatory_body  # None: it is not mandatory, or its caller has given up
        self.returned = False
        self.settled = False
        self.error: Exception | None = None
        self.waiter: Any = None  # set by the caller that waits for the confirm, and used by the reader to wake it

    def settle(self, error: Exception | None) -> None:
        """It was confirmed, or failed with *error*."""
        self.settled = True
        self.error = error

    def drop_body(self) -> None:
        """Keep of a mandatory message what is needed to recognize it."""
        body = self.mandatory_body
        if body is not None:
            self.size, self.digest = len(body), _digest(body)
            self.mandatory_body = None

    def has_body(self, body: bytes | int) -> bool:
        """Whether a mandatory message has this body; an integer is the size of one that was not kept."""
        kept = self.mandatory_body
        if kept is not None:
            return body == (len(kept) if isinstance(body, int) else kept)
        return body == self.size if isinstance(body, int) else len(body) == self.size and _digest(body) == self.digest


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()


class PublisherConfirms:
    """The unconfirmed publishes of one channel."""

    __slots__ = ("_given_up", "_last", "_mandatory", "_unconfirmed", "_watched")

    def __init__(self) -> None:
        self._last = 0
        self._given_up: dict[int, PendingPublish] = {}  # those of the unconfirmed whose caller has given up
        self._watched: dict[int, tuple[int, float]] = {}  # number -> rank, and seconds without progress
        self._unconfirmed: dict[int, PendingPublish] = {}  # by number, in the order of publishing
        self._mandatory: dict[int, PendingPublish] = {}  # those of them that are mandatory

    def __len__(self) -> int:
        return len(self._unconfirmed)

    def published(self, route: MessageRoute, mandatory_body: bytes | None = None) -> PendingPublish:
        """Register the next publish; to be called when its frames are written.

        *mandatory_body* is the body of a mandatory message, by which a return is recognized.
        """
        self._last += 1
        pending = PendingPublish(self._last, route, mandatory_body)
        self._unconfirmed[self._last] = pending
        if mandatory_body is not None:
            self._mandatory[self._last] = pending
        return pending

    def returned(self, route: MessageRoute, body: bytes | int) -> PendingPublish | None:
        """The publish that a basic.return belongs to; None when there is none.

        *body* is its size when it was too large to be kept.
        """
        for pending in self._mandatory.values():
            if not pending.returned and pending.route == route and pending.has_body(body):
                pending.returned = True
                return pending
        return None

    def confirmed(self, event: Confirmed) -> list[PendingPublish]:
        """The publishes that *event* settles; :exc:`ProtocolError` when its number was never published."""
        tag = event.delivery_tag
        if tag > self._last:
            raise ProtocolError(f"publish {tag} was confirmed, and there were {self._last}")
        if event.multiple:
            numbers = []
            for number in self._unconfirmed:
                if tag and number > tag:  # 0 confirms all of them
                    break
                numbers.append(number)
            settled = [self._unconfirmed.pop(number) for number in numbers]
        else:
            found = self._unconfirmed.pop(tag, None)
            settled = [] if found is None else [found]
        for pending in settled:
            self._settle(pending, event.positive)
        if self._given_up:
            for pending in settled:
                self._given_up.pop(pending.number, None)
        return settled

    @property
    def given_up(self) -> int:
        """How many of the unconfirmed publishes are given up and still registered."""
        return len(self._given_up)

    def give_up(self, pending: PendingPublish) -> None:
        """The caller of *pending* waits no longer: its body is dropped, and the oldest beyond a bound are forgotten."""
        if self._unconfirmed.get(pending.number) is not pending or pending.number in self._given_up:
            return
        pending.drop_body()
        self._given_up[pending.number] = pending
        if len(self._given_up) > MOST_GIVEN_UP:
            self.discard(self._given_up[next(iter(self._given_up))])

    def overdue(self, elapsed: float, within: float) -> list[PendingPublish]:
        """The publishes that have made no progress for *within* seconds, and are not given up.

        To be called now and then; *elapsed*: seconds since the last call.  Confirms come mostly in the order of
        publishing, so a publish makes progress when one before it is confirmed.  This costs nothing for a publish that
        is confirmed between two calls.
        """
        before, self._watched = self._watched, {}
        found = []
        for rank, (number, pending) in enumerate(self._unconfirmed.items()):
            known = before.get(number)
            waited = known[1] + elapsed if known is not None and known[0] == rank else 0.0
            self._watched[number] = (rank, waited)
            if waited >= within and number not in self._given_up:
                found.append(pending)
        return found

    def progress(self) -> None:
        """All unconfirmed publishes make progress: their frames are still being sent."""
        self._watched = {}

    def _settle(self, pending: PendingPublish, positive: bool) -> None:
        error: Exception | None = None
        if self._mandatory and self._mandatory.pop(pending.number, None) is not None and pending.returned:
            error = Unroutable(*pending.route)
        if not positive:
            exchange, key = pending.route
            error = MessageNacked(
                f"the broker did not take a message for exchange {exchange!r}, routing key {key!r}:"
                " a queue is full and refuses more, or something failed in the broker"
            )
        pending.settle(error)

    def discard(self, pending: PendingPublish) -> None:
        """Forget *pending*: its confirm is of no interest, or will not come, as the channel is not in confirm mode."""
        self._unconfirmed.pop(pending.number, None)
        self._mandatory.pop(pending.number, None)
        self._given_up.pop(pending.number, None)

    def end(self) -> list[PendingPublish]:
        """Take all unconfirmed publishes, in the order of publishing; none is left."""
        unconfirmed, self._unconfirmed, self._mandatory = list(self._unconfirmed.values()), {}, {}
        self._given_up, self._watched = {}, {}
        return unconfirmed
