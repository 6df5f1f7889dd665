"""How one queue is consumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from kombu_green.capabilities import Capabilities
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Queue
from kombu_green.exceptions import UnsupportedOption

__all__ = ["ConsumerSpec", "check_exclusive"]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """``concurrency`` is the number of its slots; ``time_limit`` is seconds.

    A callback that runs longer than ``hard_time_limit`` seconds costs its process: kombu-worker ends it and blames the
    message.  Without kombu-worker, nobody looks.

    ``prefetch`` is how many messages it holds at most, as many as it has slots unless told otherwise.  With more, the
    next message is there when a slot comes free, while another process might have begun it at once.

    An ``exclusive`` one is the queue's only consumer, in all processes; the others stand by until its place is free.

    ``offload`` runs callbacks in native threads, for those that burn CPU; a thread cannot be interrupted, so a time
    limit beside it is an error.

    With ``ack = "early"`` a message is acked before it is begun: work may take as long as it likes, no broker hands it
    out again, and with its process it is lost.
    """

    queue: Queue
    concurrency: int = 10
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    time_limit: float | None = None
    offload: bool = False
    accept: tuple[str, ...] = ("json",)
    prefetch: int | None = None
    exclusive: bool = False
    hard_time_limit: float | None = None
    ack: Literal["late", "early"] = "late"

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency = {self.concurrency}: a consumer needs a slot at least")
        if self.prefetch is not None and self.prefetch < self.concurrency:
            raise ValueError(
                f"prefetch = {self.prefetch} leaves slots empty, of which there are {self.concurrency} (concurrency)"
            )
        if self.offload and self.time_limit is not None:
            raise ValueError(
                "time_limit cannot interrupt the thread of an offloaded callback: leave one of the two out"
            )
        if self.ack not in ("late", "early"):
            raise ValueError(f"ack = {self.ack!r}: late or early is meant")
        if self.early and (trouble := self._trouble_with_early()) is not None:
            raise ValueError(f"ack = early stops consuming while all slots are busy: {trouble}")

    @property
    def early(self) -> bool:
        return self.ack == "early"

    def _trouble_with_early(self) -> str | None:
        """Why the place at its queue cannot be given up for a while."""
        arguments = self.queue.queue_arguments
        if self.prefetch is not None:
            return "it never takes more than it begins, so leave prefetch out"
        if self.exclusive or arguments.get("x-single-active-consumer"):
            return "another process would take over meanwhile, so it cannot be the only consumer"
        if self.queue.auto_delete or "x-expires" in arguments:
            return f"queue {self.queue.name!r} could be deleted meanwhile (exclusive, auto_delete, expires)"
        return None


def check_exclusive(specs: Iterable[ConsumerSpec], can: Capabilities) -> None:
    """Raises :exc:`UnsupportedOption` for an exclusive consumer where the transport knows none."""
    for spec in specs:
        if spec.exclusive and not can.exclusive_consumers:
            raise UnsupportedOption(
                f"queue {spec.queue.name!r}: a consumer can be exclusive on AMQP only: leave exclusive out, and run one"
                " process with concurrency = 1 if one message at a time is what is wanted"
            )
