"""Many messages for a store: put in batches, and one at a time where a batch fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, EncodeError, OperationalError, PartlyPublished
from kombu_green.message import Content

__all__ = ["BATCH_SIZE", "publish_in_batches"]

#: messages of one put; larger batches are hardly faster
BATCH_SIZE: Final = 100

PutAll: TypeAlias = Callable[[Sequence[Content], str, str, bool, Deadline], None]


def publish_in_batches(
    put_all: PutAll,
    contents: Iterable[Content],
    exchange: str,
    routing_key: str,
    mandatory: bool,
    deadline: Deadline,
) -> None:
    """Publish *contents* by *put_all*, which puts a sequence of them, all or none.

    Raises :exc:`PartlyPublished`, which says which messages failed.  Once the connection to the store is lost, or the
    deadline has passed, nothing more is taken from *contents*; if that happens with the first batch, that error is
    raised itself.
    """
    failures: dict[int, Exception] = {}
    taken = 0
    for batch in _batches(contents):
        first, taken = taken, taken + len(batch)
        try:
            put_all(batch, exchange, routing_key, mandatory, deadline)
        except (ConnectionLost, TimeoutError) as error:
            if not first:
                raise
            failures |= dict.fromkeys(range(first, taken), error)
            break
        except (OperationalError, EncodeError):
            failures |= _one_by_one(put_all, batch, first, exchange, routing_key, mandatory, deadline)
    if failures:
        raise PartlyPublished(failures, taken)


def _batches(contents: Iterable[Content]) -> Iterator[list[Content]]:
    """If *contents* raises, what came before is yielded first, and then its error is raised."""
    batch: list[Content] = []
    try:
        for content in contents:
            batch.append(content)
            if len(batch) == BATCH_SIZE:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _one_by_one(
    put_all: PutAll,
    batch: Sequence[Content],
    first: int,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    deadline: Deadline,
) -> dict[int, Exception]:
    failures: dict[int, Exception] = {}
    for number, content in enumerate(batch, first):
        try:
            put_all([content], exchange, routing_key, mandatory, deadline)
        except (OperationalError, EncodeError, TimeoutError) as error:
            failures[number] = error
    return failures
