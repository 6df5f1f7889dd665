"""Dead letters return to their queue or are deleted, and what cannot be done is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gevent.event import Event

from kombu_green.connection import Connection
from kombu_green.dead_letters.actions import ActionCounts, drop, retry, user_at_host
from kombu_green.dead_letters.browser import DeadLetterBrowser, Selection
from kombu_green.entity import Queue

OpenBrowser = Callable[[Selection, Event], DeadLetterBrowser]
PublishDead = Callable[[Iterable[int]], None]
BodiesIn = Callable[[str], list[int]]


def test_a_retried_message_is_in_its_queue_and_no_dead_letter(
    open_browser: OpenBrowser, publish_dead: PublishDead, bodies_in: BodiesIn
) -> None:
    publish_dead(range(3))
    browser, counts = open_browser(Selection("video.dead", limit=2), Event()), ActionCounts()
    retry(browser, browser.dead_letters(), "video", counts)
    browser.close()
    assert (counts.done, dict(counts.failures)) == (2, {})
    assert (bodies_in("video"), bodies_in("video.dead")) == ([0, 1], [2])


def test_a_message_whose_queue_is_gone_stays_a_dead_letter(
    open_browser: OpenBrowser, publish_dead: PublishDead, bodies_in: BodiesIn, connection: Connection
) -> None:
    publish_dead(range(2))
    Queue("video").bind(connection.channel()).delete()
    browser, counts = open_browser(Selection("video.dead"), Event()), ActionCounts()
    retry(browser, browser.dead_letters(), "video", counts)
    browser.close()
    assert counts.done == 0
    ((reason, count),) = counts.failures.items()
    assert "no queue takes a message" in reason
    assert count == 2
    assert bodies_in("video.dead") == [0, 1]


def test_dropped_messages_are_deleted(
    open_browser: OpenBrowser, publish_dead: PublishDead, bodies_in: BodiesIn
) -> None:
    publish_dead(range(2))
    browser, counts = open_browser(Selection("video.dead"), Event()), ActionCounts()
    drop(browser.dead_letters(), counts)
    browser.close()
    assert counts.done == 2
    assert (bodies_in("video"), bodies_in("video.dead")) == ([], [])


def test_a_message_that_was_settled_already_is_a_failure(open_browser: OpenBrowser, publish_dead: PublishDead) -> None:
    publish_dead([0])
    browser, counts = open_browser(Selection("video.dead"), Event()), ActionCounts()
    (letter,) = browser.dead_letters()
    letter.message.ack()
    drop([letter], counts)
    assert (counts.done, dict(counts.failures)) == (0, {"another consumer has it by now": 1})


def test_the_user_is_named_with_the_host() -> None:
    user, at, host = user_at_host().partition("@")
    assert user
    assert at
    assert host
