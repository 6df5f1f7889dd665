"""What a dead letter tells of itself, whatever dead-lettered it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kombu_green.dead_letters.record import DeadLetterRecord
from kombu_green.dispatch import history
from kombu_green.dispatch.history import MessageOrigin, headers_for_dead_letter, headers_for_return
from kombu_green.dispatch.outcome import Failure

ORIGIN = MessageOrigin("video", "media", "video.mp4")
FAILURE = Failure("ValueError", "bad", "Traceback ...")


def test_ours() -> None:
    headers = headers_for_dead_letter({"mine": 1}, origin=ORIGIN, attempt=5, now=10.5, reason="enough", failure=FAILURE)
    assert DeadLetterRecord.of(headers, {"message_id": "m", "type": "t"}) == DeadLetterRecord(
        queue="video",
        dead_lettered=datetime(1970, 1, 1, 0, 0, 10, 500_000, UTC),
        reason="enough",
        exception="ValueError",
        message="bad",
        traceback="Traceback ...",
        attempts=5,
        exchange="media",
        key="video.mp4",
        id="m",
        type="t",
        headers=headers,
    )


def test_earlier_lives() -> None:
    first = headers_for_dead_letter({}, origin=ORIGIN, attempt=5, now=10.0, reason="enough", failure=FAILURE)
    back = headers_for_return(first, queue="video", now=20.0, by="ann@host")
    record = DeadLetterRecord.of(
        headers_for_dead_letter(back, origin=ORIGIN, attempt=2, now=30.0, reason="again", failure=FAILURE), {}
    )
    assert (record.attempts, record.returned, record.earlier_attempts, record.reason) == (2, 1, 5, "again")
    assert record.earlier is not None
    assert "ann@host" in record.earlier


def test_a_brokers() -> None:
    death = {"reason": "rejected", "queue": "video", "time": 10, "exchange": "media", "routing-keys": ["video.mp4"]}
    record = DeadLetterRecord.of({"x-death": [death, {"queue": "other"}]}, {})
    assert (record.queue, record.reason, record.exchange, record.key) == ("video", "rejected", "media", "video.mp4")
    assert record.dead_lettered == datetime(1970, 1, 1, 0, 0, 10, 0, UTC)
    assert (
        DeadLetterRecord.of({"x-death": [{**death, "time": datetime(1970, 1, 1, 0, 0, 10)}]}, {}).dead_lettered
        == record.dead_lettered
    )


_ANYTHING = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = [getattr(history, name) for name in ("QUEUE", "DEAD_LETTERED", "REASON", "EXCEPTION", "ATTEMPTS", "RETURNED")]


@given(st.dictionaries(st.sampled_from([*_NAMES, "x-death"]), _ANYTHING))
def test_whatever_is_written_there(headers: dict[str, Any]) -> None:
    record = DeadLetterRecord.of(headers, headers)
    assert record.dead_lettered is None or record.dead_lettered.tzinfo is UTC
    assert record.attempts is None or record.attempts >= 0
