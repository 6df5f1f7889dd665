"""How one queue is consumed."""

from __future__ import annotations

from dataclasses import dataclass, field

from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Queue

__all__ = ["ConsumerSpec"]


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
