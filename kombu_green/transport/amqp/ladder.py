"""The queues and exchanges of :mod:`.delay`, declared as far as they are needed."""

from __future__ import annotations

from time import monotonic, time
from typing import Final

from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import PreconditionFailed
from kombu_green.message import Content
from kombu_green.transport.amqp.delay import (
    OUT,
    UNROUTABLE,
    UNROUTABLE_MOST,
    Delayed,
    Target,
    arguments_of_queue,
    bit,
    delayed,
    level_name,
    matching,
)
from kombu_green.transport.amqp.topology import Topology

__all__ = ["Ladder"]

#: seconds for which a target's binding is taken to be there; asserted again after that, should somebody have removed it
ASSURED: Final = 1.0

#: targets that are remembered
_REMEMBERED: Final = 1024


class Ladder:
    """One for a connection.  *safe*: the broker can move dead letters without losing any when it is killed."""

    def __init__(self, topology: Topology, *, safe: bool) -> None:
        self._topology: Final = topology
        self._safe: Final = safe
        self._turn: Final = BoundedSemaphore()
        self._levels = -1  # levels below this one are there; -1: not even the way out
        self._targets: dict[Target, float] = {}

    def prepare(self, content: Content, exchange: str, routing_key: str, delay: float, deadline: Deadline) -> Delayed:
        """What to publish instead; every queue and binding on its way is there then.

        A target that does not exist raises :exc:`~kombu_green.exceptions.NotFound`.
        """
        target = Target.of(exchange, routing_key)
        prepared = delayed(content, target, delay, time())
        if self._levels <= prepared.level:
            self._build(prepared.level, deadline)
        self._bind(target, deadline)
        return prepared

    def _build(self, level: int, deadline: Deadline) -> None:
        if not self._turn.acquire(timeout=deadline.remaining()):
            raise TimeoutError("declaring the queues of delayed delivery: the deadline passed")
        try:
            if self._levels < 0:
                self._build_the_way_out(deadline)
            for each in range(self._levels, level + 1):
                self._build_level(each, deadline)
                self._levels = each + 1
        finally:
            self._turn.release()

    def _build_the_way_out(self, deadline: Deadline) -> None:
        self._declare_exchange(UNROUTABLE, "fanout", None, deadline)
        self._declare_queue(UNROUTABLE, {"x-max-length": UNROUTABLE_MOST}, deadline)
        self._topology.bind_queue(UNROUTABLE, UNROUTABLE, "", {}, deadline)
        self._declare_exchange(OUT, "headers", UNROUTABLE, deadline)
        self._levels = 0

    def _build_level(self, level: int, deadline: Deadline) -> None:
        name = level_name(level)
        self._declare_exchange(name, "headers", level_name(level - 1), deadline)
        try:
            self._declare_queue(name, arguments_of_queue(level, safe=self._safe), deadline)
        except PreconditionFailed as error:
            if "x-queue-type" not in str(error):  # one that an older broker was given serves as well
                raise
        self._topology.bind_queue(name, name, "", matching(bit(level)), deadline)

    def _bind(self, target: Target, deadline: Deadline) -> None:
        if self._targets.get(target, 0.0) > monotonic():
            return
        arguments = matching(target.header())
        if target.exchange:
            self._topology.bind_exchange(target.exchange, OUT, "", arguments, deadline)
        else:
            self._topology.bind_queue(target.queue, OUT, "", arguments, deadline)
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        self._targets[target] = monotonic() + ASSURED

    def _declare_exchange(self, name: str, type: str, alternate: str | None, deadline: Deadline) -> None:
        self._topology.declare_exchange(
            name,
            type,
            passive=False,
            durable=True,
            auto_delete=False,
            arguments={} if alternate is None else {"alternate-exchange": alternate},
            deadline=deadline,
        )

    def _declare_queue(self, name: str, arguments: dict[str, object], deadline: Deadline) -> None:
        self._topology.declare_queue(
            name,
            passive=False,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments=arguments,
            deadline=deadline,
        )
