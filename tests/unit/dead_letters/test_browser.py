"""Dead letters are read in order, as far as they are selected, and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from gevent.event import Event

from kombu_green.dead_letters.browser import DeadLetterBrowser, NoSuchQueue, Selection

OpenBrowser = Callable[[Selection, Event], DeadLetterBrowser]
PublishDead = Callable[[Iterable[int]], None]
BodiesIn = Callable[[str], list[int]]


def numbers(browser: DeadLetterBrowser) -> list[tuple[int, int]]:
    return [(letter.number, letter.message.payload) for letter in browser.dead_letters()]


def test_messages_are_held_until_the_browser_is_closed(
    open_browser: OpenBrowser, publish_dead: PublishDead, bodies_in: BodiesIn
) -> None:
    publish_dead(range(3))
    browser = open_browser(Selection("video.dead"), Event())
    assert browser.ready == 3
    assert numbers(browser) == [(1, 0), (2, 1), (3, 2)]
    assert bodies_in("video.dead") == []
    browser.close()
    assert bodies_in("video.dead") == [0, 1, 2]


def test_the_limit_counts_those_for_which_the_conditions_hold(
    open_browser: OpenBrowser, publish_dead: PublishDead
) -> None:
    publish_dead(range(6))
    odd = Selection("video.dead", [lambda record, now: record.headers["n"] % 2 == 1], limit=2)
    browser = open_browser(odd, Event())
    assert numbers(browser) == [(2, 1), (4, 3)]
    assert browser.seen == 4


def test_it_ends_when_it_is_stopped(open_browser: OpenBrowser, publish_dead: PublishDead) -> None:
    publish_dead(range(3))
    stop = Event()
    found = open_browser(Selection("video.dead"), stop).dead_letters()
    assert next(found).message.payload == 0
    stop.set()
    assert list(found) == []


def test_messages_that_arrive_meanwhile_are_not_read(open_browser: OpenBrowser, publish_dead: PublishDead) -> None:
    publish_dead([0])
    browser = open_browser(Selection("video.dead"), Event())
    publish_dead([1])
    assert numbers(browser) == [(1, 0)]


def test_a_missing_queue_is_an_error(open_browser: OpenBrowser) -> None:
    with pytest.raises(NoSuchQueue, match=r"video\.dead"):
        open_browser(Selection("video.dead"), Event())
