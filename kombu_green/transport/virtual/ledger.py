"""What a channel has delivered and nobody has settled yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kombu_green.exceptions import MessageStateError
from kombu_green.storage.contract import Receipt, Reserved
from kombu_green.transport.virtual.leases import LeaseKeeper
from kombu_green.transport.virtual.window import Consumer

__all__ = ["Held", "Ledger"]


class Held:
    """One delivery; ``lost`` once the store has said that its lease is not ours any more."""

    __slots__ = ("consumer", "lost", "reserved")

    def __init__(self, reserved: Reserved, consumer: Consumer | None) -> None:
        self.reserved: Final = reserved
        self.consumer: Final = consumer
        self.lost = False

    def lose(self) -> None:
        self.lost = True


class Ledger:
    """Deliveries by tag; tags count up from 1.  Their leases are renewed while they stand here.

    *freed* is called when a consumer that was full may hold more.
    """

    def __init__(self, leases: LeaseKeeper, freed: Callable[[], None]) -> None:
        self._leases: Final = leases
        self._freed: Final = freed
        self._held: Final[dict[int, Held]] = {}
        self._last_tag = 0

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, reserved: Reserved, consumer: Consumer | None) -> int:
        """Its delivery tag."""
        self._last_tag += 1
        held = self._held[self._last_tag] = Held(reserved, consumer)
        self._leases.hold(reserved.receipt, held.lose)
        if consumer is not None:
            consumer.held += 1
        return self._last_tag

    def take(self, tag: int, multiple: bool = False) -> list[Held]:
        """Strike out what *tag* stands for; ``multiple`` is everything up to it, and with tag 0 everything."""
        if not multiple:
            found = self._held.pop(tag, None)
            if found is None:
                raise MessageStateError(f"delivery {tag} is not held by this channel: it is closed, or it was settled")
            return [found]
        return [self._held.pop(each) for each in list(self._held) if each <= tag or not tag]

    def settle(self, taken: Sequence[Held], how: Callable[[Sequence[Receipt]], Sequence[Receipt]]) -> int:
        """Settle what was taken out; returns how many of them were lost before that."""
        for held in taken:  # before the store deletes it, or its renewal would find it gone and call it lost
            self._leases.drop(held.reserved.receipt)
        receipts = [held.reserved.receipt for held in taken if not held.lost]
        lost = len(taken) - len(receipts)
        try:
            return lost + len(how(receipts)) if receipts else lost
        finally:
            for held in taken:
                self.let_go(held)

    def let_go(self, held: Held) -> None:
        """It is nobody's business any more: its consumer may hold another one."""
        self._leases.drop(held.reserved.receipt)
        consumer = held.consumer
        if consumer is not None:
            was_full = not consumer.free
            consumer.held -= 1
            if was_full and not consumer.cancelled:
                self._freed()
