"""How one queue is consumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from kombu_green.capabilities import Capabilities
from kombu_green.compression import MAX_SIZE
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Queue
from kombu_green.exceptions import UnsupportedOption

__all__ = ["ConsumerSpec", "check_supported"]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """``concurrency`` is the number of slots: how many messages are handled at a time.  ``time_limit`` is seconds.

    When a callback runs longer than ``hard_time_limit`` seconds, kombu-worker ends the process and blames the message.
    Without kombu-worker this limit has no effect.

    ``prefetch`` is how many messages the consumer holds at most; the default is one for each slot.  With more, the next
    message is there when a slot becomes free, but another process might have begun it sooner.

    An ``exclusive`` consumer is the only one of its queue, in all processes; the others stand by until it ends.

    ``offload`` runs the callback in a native thread, which is for work that burns CPU.  A thread cannot be interrupted,
    so a time limit beside it is an error.

    A compressed body that would have more than ``max_unpacked`` bytes when unpacked is dead-lettered.

    With ``ack = "early"`` a message is acked before its callback is called: the callback may take as long as it likes,
    the broker does not deliver the message again, and if the process ends the message is lost.
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
    max_unpacked: int = MAX_SIZE

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
        if self.early and (trouble := self._early_ack_problem()) is not None:
            raise ValueError(f"ack = early stops consuming while all slots are busy: {trouble}")

    @property
    def early(self) -> bool:
        return self.ack == "early"

    def _early_ack_problem(self) -> str | None:
        """Why this consumer cannot be stopped for a while."""
        arguments = self.queue.queue_arguments
        if self.prefetch is not None:
            return "it never takes more than it begins, so leave prefetch out"
        if self.exclusive or arguments.get("x-single-active-consumer"):
            return "another process would take over meanwhile, so it cannot be the only consumer"
        if self.queue.auto_delete or "x-expires" in arguments:
            return f"queue {self.queue.name!r} could be deleted meanwhile (exclusive, auto_delete, expires)"
        return None


def check_supported(specs: Iterable[ConsumerSpec], can: Capabilities) -> None:
    """Raises :exc:`UnsupportedOption` for a consumer that a transport with these capabilities cannot have."""
    for spec in specs:
        if spec.early and not can.confirms_acks:
            raise UnsupportedOption(
                f"queue {spec.queue.name!r}: ack = early needs a transport that confirms acks, and this one does not:"
                " leave ack out"
            )
        if spec.exclusive and not can.exclusive_consumers:
            raise UnsupportedOption(
                f"queue {spec.queue.name!r}: a consumer can be exclusive on AMQP only: leave exclusive out, and run one"
                " process with concurrency = 1 if one message at a time is what is wanted"
            )
