from __future__ import annotations

import json
from typing import Any

import pytest
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.dispatch.history import (
    MessageOrigin,
    attempt_of,
    headers_for_dead_letter,
    headers_for_requeue,
    headers_for_retry,
    headers_for_return,
    origin_of,
    properties_for,
)
from kombu_green.dispatch.outcome import Failure

ORIGIN = MessageOrigin("video", "media", "video.mp4")
BACK = MessageOrigin("video", "", "video")  # how a retried message is delivered
FAILURE = Failure("ValueError", "bad", "Traceback ...")


def test_attempts_are_counted_from_try_to_try() -> None:
    headers: dict[str, Any] = {"mine": 1}
    for attempt in range(1, 5):
        assert attempt_of(headers, "video") == attempt
        delivered = ORIGIN if attempt == 1 else BACK
        headers = headers_for_retry(headers, origin=delivered, attempt=attempt, now=attempt, failure=FAILURE)
    assert headers == {
        "mine": 1,
        "x-kombu-green-attempts": 4,
        "x-kombu-green-queue": "video",
        "x-kombu-green-exchange": "media",
        "x-kombu-green-routing-key": "video.mp4",
        "x-kombu-green-first-failed": "1970-01-01T00:00:01.000+00:00",
        "x-kombu-green-exception": "ValueError",
        "x-kombu-green-message": "bad",
        "x-kombu-green-traceback": "Traceback ...",
    }
    assert origin_of(headers, BACK) == ORIGIN


def test_one_that_is_published_back_is_at_the_same_attempt_and_keeps_all_it_has() -> None:
    fresh: dict[str, Any] = {"mine": 1, "x-death": [{}], "CC": ["copies"]}
    headers = headers_for_requeue(fresh, origin=ORIGIN, properties={"user_id": "guest"})
    assert (attempt_of(headers, "video"), origin_of(headers, BACK)) == (1, ORIGIN)
    assert headers["mine"] == 1
    assert (headers["x-kombu-green-cc"], headers["x-kombu-green-user-id"]) == (["copies"], "guest")
    assert not {"x-death", "CC"} & set(headers)
    assert fresh == {"mine": 1, "x-death": [{}], "CC": ["copies"]}
    tried = headers_for_retry(headers, origin=BACK, attempt=1, now=1.0, failure=FAILURE)
    assert headers_for_requeue(tried, origin=BACK) == tried


def test_the_dead_letter_says_why_and_when() -> None:
    once = headers_for_retry({}, origin=ORIGIN, attempt=1, now=1.0, failure=FAILURE)
    last = Failure("KeyError", "worse", "Traceback 2")
    headers = headers_for_dead_letter(once, origin=BACK, attempt=2, now=2.5, reason="enough", failure=last)
    assert headers["x-kombu-green-attempts"] == 2
    assert headers["x-kombu-green-reason"] == "enough"
    assert headers["x-kombu-green-first-failed"] == "1970-01-01T00:00:01.000+00:00"
    assert headers["x-kombu-green-dead-lettered"] == "1970-01-01T00:00:02.500+00:00"
    assert headers["x-kombu-green-exception"] == "KeyError"
    assert (headers["x-kombu-green-exchange"], headers["x-kombu-green-routing-key"]) == ("media", "video.mp4")


def test_the_callers_headers_stay_as_they_are() -> None:
    headers = {"x-death": [{}], "mine": 1}
    headers_for_retry(headers, origin=ORIGIN, attempt=1, now=0.0)
    assert headers == {"x-death": [{}], "mine": 1}


def test_the_brokers_account_is_taken_off() -> None:
    brokers = {
        "x-death": [{"count": 1}],
        "x-delivery-count": 2,
        "x-first-death-queue": "video",
        "x-first-death-reason": "rejected",
        "x-last-death-exchange": "",
    }
    headers = headers_for_retry({**brokers, "x-mine": True}, origin=ORIGIN, attempt=1, now=0.0)
    assert not brokers.keys() & headers.keys()
    assert headers["x-mine"] is True


def test_copies_are_not_sent_again_but_stay_on_record() -> None:
    headers = headers_for_retry({"CC": ["audit"], "BCC": ["secret"]}, origin=ORIGIN, attempt=1, now=0.0)
    assert not {"CC", "BCC"} & headers.keys()
    again = headers_for_dead_letter(headers, origin=BACK, attempt=2, now=0.0, reason="r")
    assert headers["x-kombu-green-cc"] == again["x-kombu-green-cc"] == ["audit"]


def test_properties_that_a_broker_would_act_upon_are_taken_off_and_kept_on_record() -> None:
    properties = {"user_id": "guest", "expiration": "1000", "message_id": "m", "priority": 3}
    assert properties_for(properties, keep_expiration=True) == {"expiration": "1000", "message_id": "m", "priority": 3}
    assert properties_for(properties, keep_expiration=False) == {"message_id": "m", "priority": 3}
    once = headers_for_retry({}, origin=ORIGIN, attempt=1, now=0.0, properties=properties)
    assert once["x-kombu-green-user-id"] == "guest"
    assert "x-kombu-green-expiration" not in once
    carried = properties_for(properties, keep_expiration=True)
    last = headers_for_dead_letter(once, origin=BACK, attempt=2, now=0.0, reason="r", properties=carried)
    assert (last["x-kombu-green-user-id"], last["x-kombu-green-expiration"]) == ("guest", "1000")


def test_a_history_counts_in_its_own_queue_alone() -> None:
    headers = headers_for_dead_letter({}, origin=ORIGIN, attempt=5, now=1.0, reason="enough", failure=FAILURE)
    assert attempt_of(headers, "video") == 6
    assert attempt_of(headers, "video.dead") == 1
    there = MessageOrigin("video.dead", "", "video.dead")
    assert origin_of(headers, there) == there
    anew = headers_for_retry(headers, origin=there, attempt=1, now=9.0)
    assert anew == {
        "x-kombu-green-attempts": 1,
        "x-kombu-green-queue": "video.dead",
        "x-kombu-green-exchange": "",
        "x-kombu-green-routing-key": "video.dead",
        "x-kombu-green-first-failed": "1970-01-01T00:00:09.000+00:00",
    }


@pytest.mark.parametrize("attempts", ["3", 0, -1, 2.5, True, None, [], {}, b"3"])
def test_rubbish_attempts_are_no_history(attempts: Any) -> None:
    headers = {"x-kombu-green-queue": "video", "x-kombu-green-attempts": attempts}
    assert attempt_of(headers, "video") == 1


rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
names = st.sampled_from(["attempts", "queue", "exchange", "routing-key", "first-failed"]).map("x-kombu-green-".__add__)
plain = st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(st.characters(codec="utf-8"), max_size=9)


@given(rubbish | st.dictionaries(names, rubbish | st.just("video")))
def test_no_foreign_headers_break_it(headers: Any) -> None:
    attempt = attempt_of(headers, "video")
    assert 1 <= attempt < 2**31
    result = headers_for_dead_letter(headers, origin=BACK, attempt=attempt, now=0.0, reason="r")
    assert attempt_of(result, "video") == min(attempt + 1, 2**31 - 1)
    assert isinstance(origin_of(result, BACK), MessageOrigin)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), plain), st.integers(1, 2**40))
def test_they_survive_json_and_amqp(headers: dict[str, Any], attempt: int) -> None:
    result = headers_for_dead_letter(
        headers, origin=ORIGIN, attempt=attempt, now=1e9, reason="ü" * 5000, failure=FAILURE
    )
    assert json.loads(json.dumps(result)) == result
    (table,), _ = loads("F", dumps("F", [result]), 0)
    assert table == result


def dead_letter(attempt: int = 5, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return headers_for_dead_letter(
        headers or {}, origin=ORIGIN, attempt=attempt, now=10.0, reason="enough", failure=FAILURE
    )


def test_a_dead_letter_that_is_brought_back_begins_anew_and_keeps_its_history() -> None:
    headers = headers_for_return({**dead_letter(), "mine": 1}, queue="video", now=20.0, by="ann@host")
    assert attempt_of(headers, "video") == 1
    assert origin_of(headers, BACK) == ORIGIN
    assert headers == {
        "mine": 1,
        "x-kombu-green-attempts": 0,
        "x-kombu-green-queue": "video",
        "x-kombu-green-exchange": "media",
        "x-kombu-green-routing-key": "video.mp4",
        "x-kombu-green-first-failed": "1970-01-01T00:00:10.000+00:00",
        "x-kombu-green-exception": "ValueError",
        "x-kombu-green-message": "bad",
        "x-kombu-green-traceback": "Traceback ...",
        "x-kombu-green-reason": "enough",
        "x-kombu-green-dead-lettered": "1970-01-01T00:00:10.000+00:00",
        "x-kombu-green-returned": 1,
        "x-kombu-green-returned-by": "ann@host 1970-01-01T00:00:20.000+00:00",
        "x-kombu-green-earlier-attempts": 5,
        "x-kombu-green-earlier": "5 attempts until 1970-01-01T00:00:10.000+00:00: enough;"
        " returned 1970-01-01T00:00:20.000+00:00 by ann@host",
    }


def test_lives_are_counted_over_failures_and_further_deaths() -> None:
    headers = headers_for_return(dead_letter(5), queue="video", now=20.0, by="ann@host")
    for attempt in (1, 2):
        assert attempt_of(headers, "video") == attempt
        headers = headers_for_retry(headers, origin=BACK, attempt=attempt, now=30.0, failure=FAILURE)
        assert "x-kombu-green-reason" not in headers
    headers = headers_for_dead_letter(headers, origin=BACK, attempt=3, now=40.0, reason="again", failure=FAILURE)
    headers = headers_for_return(headers, queue="video", now=50.0, by="bob@host")
    assert headers["x-kombu-green-returned"] == 2
    assert headers["x-kombu-green-earlier-attempts"] == 8
    assert [line.split(";")[0] for line in headers["x-kombu-green-earlier"].splitlines()] == [
        "5 attempts until 1970-01-01T00:00:10.000+00:00: enough",
        "3 attempts until 1970-01-01T00:00:40.000+00:00: again",
    ]


def test_what_others_buried_begins_its_history_when_it_is_brought_back() -> None:
    headers = headers_for_return({"x-death": [{"queue": "video"}], "mine": 1}, queue="video", now=20.0, by="ann@host")
    assert headers["mine"] == 1
    assert "x-death" not in headers
    assert attempt_of(headers, "video") == 1
    assert origin_of(headers, BACK) == BACK


def test_the_story_of_many_lives_stays_short() -> None:
    headers: dict[str, Any] = {}
    for life in range(100):
        headers = headers_for_return(dead_letter(1, headers), queue="video", now=life, by="ann@host")
    assert headers["x-kombu-green-returned"] == headers["x-kombu-green-earlier-attempts"] == 100
    assert len(headers["x-kombu-green-earlier"].encode()) <= 2048
    assert headers["x-kombu-green-earlier"].endswith("1970-01-01T00:01:39.000+00:00 by ann@host")


@pytest.mark.parametrize("rubbish", [-1, 2**40, "5", None, b"x", ["x"]])
def test_rubbish_about_earlier_lives_counts_as_none(rubbish: object) -> None:
    forged = {"x-kombu-green-returned": rubbish, "x-kombu-green-earlier-attempts": rubbish}
    headers = headers_for_return(
        {**dead_letter(1), **forged, "x-kombu-green-earlier": 7}, queue="video", now=1.0, by="a@b"
    )
    assert (headers["x-kombu-green-returned"], headers["x-kombu-green-earlier-attempts"]) == (1, 1)
