from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, OperationalError, PartlyPublished
from kombu_green.message import Content
from kombu_green.transport.virtual.batches import BATCH_SIZE, publish_in_batches


class Puts:
    """Records what is put, all or none; *refuse* may raise for a number or a whole batch."""

    def __init__(self, refuse: Callable[[list[int]], None] = lambda numbers: None) -> None:
        self.batches: list[list[int]] = []
        self._refuse = refuse

    def __call__(
        self, contents: Sequence[Content], exchange: str, routing_key: str, mandatory: bool, deadline: Deadline
    ) -> None:
        numbers = [int(content.body) for content in contents]
        self._refuse(numbers)
        self.batches.append(numbers)

    @property
    def numbers(self) -> list[int]:
        return [number for batch in self.batches for number in batch]


def contents(count: int) -> Iterator[Content]:
    return (Content(b"%d" % number) for number in range(count))


def publish(puts: Puts, messages: Iterator[Content]) -> None:
    publish_in_batches(puts, messages, "e", "k", False, Deadline.never())


def test_messages_are_put_in_batches_and_in_order() -> None:
    puts = Puts()
    publish(puts, contents(2 * BATCH_SIZE + 1))
    assert [len(batch) for batch in puts.batches] == [BATCH_SIZE, BATCH_SIZE, 1]
    assert puts.numbers == list(range(2 * BATCH_SIZE + 1))


def test_a_batch_that_fails_is_put_one_by_one() -> None:
    def refuse(numbers: list[int]) -> None:
        if 3 in numbers:
            raise OperationalError("not this one")

    puts = Puts(refuse)
    with pytest.raises(PartlyPublished) as caught:
        publish(puts, contents(6))
    assert list(caught.value.failures) == [3]
    assert puts.numbers == [0, 1, 2, 4, 5]


def test_a_lost_connection_in_the_first_batch_is_raised_itself() -> None:
    def refuse(numbers: list[int]) -> None:
        raise ConnectionLost("gone")

    with pytest.raises(ConnectionLost):
        publish(Puts(refuse), contents(3))


def test_after_a_lost_connection_nothing_more_is_taken() -> None:
    def refuse(numbers: list[int]) -> None:
        if BATCH_SIZE in numbers:
            raise ConnectionLost("gone")

    messages = contents(3 * BATCH_SIZE)
    with pytest.raises(PartlyPublished) as caught:
        publish(Puts(refuse), messages)
    assert list(caught.value.failures) == list(range(BATCH_SIZE, 2 * BATCH_SIZE))
    assert int(next(messages).body) == 2 * BATCH_SIZE


def test_what_came_before_an_error_of_the_iterable_is_put() -> None:
    def broken() -> Iterator[Content]:
        yield from contents(2)
        raise ZeroDivisionError

    puts = Puts()
    with pytest.raises(ZeroDivisionError):
        publish(puts, broken())
    assert puts.numbers == [0, 1]
