"""Publishing many messages from one greenlet, with a window of them in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from gevent.hub import Hub, Waiter

from kombu_green.clock import Deadline
from kombu_green.exceptions import EncodeError, OperationalError, PartlyPublished, Unroutable
from kombu_green.message import Content
from kombu_green.transport.amqp.confirms import Pending
from kombu_green.transport.amqp.publisher import NotProcessed, Publisher
from kombu_green.transport.amqp.waiting import wait

__all__ = ["WINDOW", "Flight"]

#: messages in flight at most; a thousand keep the broker busy, and more do not make it faster
WINDOW: Final = 1000

#: messages after which what was written is sent, so that the broker begins while more are written
BATCH: Final = 64


class Flight:
    """The publishes of one call, in the order in which they were taken."""

    def __init__(self, publisher: Publisher, hub: Hub, deadline: Deadline) -> None:
        self._publisher: Final = publisher
        self._hub: Final = hub
        self._deadline: Final = deadline
        self._pending: deque[tuple[int, Content, Pending]] = deque()
        self._failures: dict[int, Exception] = {}

    def publish(self, contents: Iterable[Content], exchange: str, routing_key: str, mandatory: bool) -> None:
        """Return when the broker has all of them; :exc:`PartlyPublished` says of which that is not so.

        Once the connection is lost, or the deadline has passed, nothing more is taken from *contents*.  What *contents*
        itself raises is raised when all that came before it is confirmed.
        """
        taken = 0
        cause: Exception | None = None
        try:
            for number, content in enumerate(contents):
                taken = number + 1
                self._write(number, content, exchange, routing_key, mandatory)
                if len(self._pending) >= WINDOW:
                    self._land_all_but(WINDOW // 2)
            self._land_all_but(0)
        except (OperationalError, TimeoutError) as error:
            if taken < 2:
                raise
            cause = error
            for number, _, pending in self._pending:
                self._failures[number] = pending.error or error
        except Exception:
            self._land_all_but(0)  # it is the error of whoever gives the messages; what was sent before is sent
            raise
        if self._failures:
            raise PartlyPublished(self._failures, taken) from cause

    def _write(self, number: int, content: Content, exchange: str, routing_key: str, mandatory: bool) -> None:
        try:
            pending = self._publisher.write(content, exchange, routing_key, mandatory, self._deadline)
        except (EncodeError, Unroutable) as error:
            self._failures[number] = error
            return
        except (OperationalError, TimeoutError) as error:
            self._failures[number] = error
            raise
        if pending is not None:
            self._pending.append((number, content, pending))
            if number % BATCH == BATCH - 1:
                self._publisher.send()

    def _land_all_but(self, most: int) -> None:
        """Wait until no more than *most* are in flight."""
        while len(self._pending) > most:
            last = self._pending[len(self._pending) - most - 1][2]
            self._wait(self._pending[0][2] if last.settled else last)
            while self._pending and self._pending[0][2].settled:
                self._judge(*self._pending.popleft())

    def _wait(self, pending: Pending) -> None:
        if not pending.settled:
            pending.waiter = Waiter(self._hub)
            try:
                wait(pending.waiter, self._deadline, "publish_many: the broker has not confirmed all of them")
            except TimeoutError as error:
                raise self._publisher.too_late(error) from None
            finally:
                pending.waiter = None

    def _judge(self, number: int, content: Content, pending: Pending) -> None:
        if isinstance(pending.error, NotProcessed):
            exchange, routing_key = pending.route
            self._write(number, content, exchange, routing_key, pending.mandatory_body is not None)
        elif pending.error is not None:
            self._failures[number] = pending.error
