"""What was published and is not confirmed yet, on one channel.  Pure.

The broker numbers the publishes of a channel from 1, and confirms each number, or all up to one, in whatever order.
What it returns as unroutable it returns in the order of publishing and before it confirms it, so a return is that of
the first mandatory publish with the same exchange, routing key and body.
"""

from __future__ import annotations

from typing import Any, Final

from kombu_green.exceptions import MessageNacked, ProtocolError, Unroutable
from kombu_green.transport.amqp.events import Confirmed
from kombu_green.transport.amqp.methods import Route

__all__ = ["Confirms", "Pending"]


class Pending:
    """One publish in flight.  ``error`` is what became of it when it is ``settled``: None is success."""

    __slots__ = ("error", "mandatory_body", "number", "returned", "route", "settled", "waiter")

    def __init__(self, number: int, route: Route, mandatory_body: bytes | None) -> None:
        self.number: Final = number
        self.route: Final = route
        self.mandatory_body: Final = mandatory_body
        self.returned = False
        self.settled = False
        self.error: Exception | None = None
        self.waiter: Any = None  # whatever the caller waits on

    def settle(self, error: Exception | None) -> None:
        self.settled = True
        self.error = error


class Confirms:
    """The flight of one channel."""

    __slots__ = ("_flight", "_last", "_mandatory")

    def __init__(self) -> None:
        self._last = 0
        self._flight: dict[int, Pending] = {}  # in the order of publishing
        self._mandatory: dict[int, Pending] = {}

    def __len__(self) -> int:
        return len(self._flight)

    def published(self, route: Route, mandatory_body: bytes | None = None) -> Pending:
        """The next publish; call it when its frames are written.  The body is kept for a mandatory one alone."""
        self._last += 1
        pending = Pending(self._last, route, mandatory_body)
        self._flight[self._last] = pending
        if mandatory_body is not None:
            self._mandatory[self._last] = pending
        return pending

    def returned(self, route: Route, body: bytes) -> Pending | None:
        """Which publish the broker returns; None when it is none of this flight."""
        for pending in self._mandatory.values():
            if not pending.returned and pending.route == route and pending.mandatory_body == body:
                pending.returned = True
                return pending
        return None

    def confirmed(self, event: Confirmed) -> list[Pending]:
        """The publishes that *event* settles; :exc:`ProtocolError` when there are none such."""
        tag = event.delivery_tag
        if tag > self._last:
            raise ProtocolError(f"publish {tag} was confirmed, and there were {self._last}")
        if event.multiple:
            numbers = []
            for number in self._flight:
                if tag and number > tag:  # 0 is all of them
                    break
                numbers.append(number)
            settled = [self._flight.pop(number) for number in numbers]
        else:
            found = self._flight.pop(tag, None)
            settled = [] if found is None else [found]
        for pending in settled:
            self._settle(pending, event.positive)
        return settled

    def _settle(self, pending: Pending, positive: bool) -> None:
        error: Exception | None = None
        if pending.mandatory_body is not None:
            del self._mandatory[pending.number]
            if pending.returned:
                error = Unroutable(*pending.route)
        if not positive:
            exchange, key = pending.route
            error = MessageNacked(
                f"the broker did not take a message for exchange {exchange!r}, routing key {key!r}:"
                " a queue is full and refuses more, or something failed in the broker"
            )
        pending.settle(error)

    def discard(self, pending: Pending) -> None:
        """*pending* will not be confirmed, as confirms were never asked for."""
        self._flight.pop(pending.number, None)
        self._mandatory.pop(pending.number, None)

    def end(self) -> list[Pending]:
        """All that is in flight, in the order of publishing; there is no flight any more."""
        flight, self._flight, self._mandatory = list(self._flight.values()), {}, {}
        return flight
