"""How one queue is consumed."""

from __future__ import annotations

from dataclasses import dataclass, field

from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Queue

__all__ = ["ConsumerSpec"]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """``concurrency`` is the number of its slots, which is its prefetch too; ``time_limit`` is seconds.

    ``offload`` runs callbacks in native threads, for those that burn CPU; a thread cannot be interrupted, so a time
    limit beside it is an error.
    """

    queue: Queue
    concurrency: int = 10
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    time_limit: float | None = None
    offload: bool = False
    accept: tuple[str, ...] = ("json",)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency = {self.concurrency}: a consumer needs a slot at least")
        if self.offload and self.time_limit is not None:
            raise ValueError(
                "time_limit cannot interrupt the thread of an offloaded callback: leave one of the two out"
            )
