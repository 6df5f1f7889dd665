"""When acks are sent, and what the outbox keeps."""

from __future__ import annotations

from kombu_green.transport.amqp.protocol.acks import ConsumerAcks, ack_frame
from kombu_green.transport.amqp.socket.outbox import BATCH_WRITES, AckBatch


def settled(batch: AckBatch, acks: ConsumerAcks, tag: int) -> bool:
    """What :meth:`AckBatch.count_write` says when *tag* is acked."""
    first = not acks.pending
    acks.ack(tag)
    if first:
        batch.add_acks(acks)
    return batch.count_write()


def due(batch: AckBatch) -> tuple[bool, bool]:
    """Whether it goes out before the turn ends, and before the next message is handed over."""
    return batch.full, batch.due


def test_the_first_write_asks_for_the_end_of_the_turn_and_many_go_out_before_it() -> None:
    acks, batch = ConsumerAcks(1), AckBatch()
    for tag in range(1, BATCH_WRITES + 2):
        acks.delivered(tag)
    assert settled(batch, acks, 1)
    for tag in range(2, BATCH_WRITES):
        assert not settled(batch, acks, tag)
        assert not batch.full
    assert not settled(batch, acks, BATCH_WRITES)
    assert due(batch) == (True, True)
    assert batch.take() == ack_frame(1, BATCH_WRITES, True)
    assert due(batch) == (False, False)
    assert settled(batch, acks, BATCH_WRITES + 1)  # whoever is next is the first again


def test_what_waited_too_long_is_enough_however_little_it_is() -> None:
    batch = AckBatch()
    assert due(batch) == (False, False)
    batch.count_write()
    while due(batch) != (False, True):  # for a few milliseconds
        pass
    assert batch.take() == b""
    assert due(batch) == (False, False)
