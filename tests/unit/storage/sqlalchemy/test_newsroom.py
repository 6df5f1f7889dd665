"""Two bulletins on one file stand for two processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from kombu_green.storage.bell import Bell, Bells
from kombu_green.storage.sqlalchemy.bulletin import Bulletin
from kombu_green.storage.sqlalchemy.newsroom import Newsroom

PATIENCE = 20.0


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Bulletin]:
    with closing(Bulletin(tmp_path / "bulletin")) as bulletin:
        with bulletin.turn():
            pass
        yield bulletin


@pytest.fixture
def newsroom(mine: Bulletin) -> Newsroom:
    return Newsroom(Bells(), mine)


@pytest.fixture
def theirs(mine: Bulletin) -> Iterator[Bulletin]:
    with closing(Bulletin(mine.path)) as bulletin:
        yield bulletin


def announce(bulletin: Bulletin, *queues: str) -> None:
    with bulletin.turn():
        bulletin.announce(queues)


def test_news_ring(newsroom: Newsroom, theirs: Bulletin) -> None:
    bell = Bell()
    for _ in range(5):
        with newsroom.listening(bell, ["video"]):
            gevent.sleep(0.001)
            announce(theirs, "video")
            assert bell.wait(PATIENCE)


def test_news_of_other_queues_do_not(newsroom: Newsroom, theirs: Bulletin) -> None:
    video, audio = Bell(), Bell()
    with newsroom.listening(video, ["video"]), newsroom.listening(audio, ["audio"]):
        announce(theirs, "video")
        assert video.wait(PATIENCE)
        assert not audio.wait(0)


def test_who_begins_to_listen_takes_no_news_away_from_who_did_before(newsroom: Newsroom, theirs: Bulletin) -> None:
    first, second = Bell(), Bell()
    with newsroom.listening(first, ["video"]):
        announce(theirs, "video")
        with newsroom.listening(second, ["video"]):
            assert first.wait(PATIENCE)


def test_who_stops_to_listen_takes_none_away_from_who_goes_on(newsroom: Newsroom, theirs: Bulletin) -> None:
    first, second = Bell(), Bell()
    with newsroom.listening(first, ["video", "audio"]):
        with newsroom.listening(second, ["video"]):
            pass
        announce(theirs, "video")
        assert first.wait(PATIENCE)


def test_nothing_is_watched_when_nobody_listens(newsroom: Newsroom, theirs: Bulletin) -> None:
    bell = Bell()
    with newsroom.listening(bell, ["video"]):
        pass
    announce(theirs, "video")
    assert not bell.wait(0.05)
    (desk,) = newsroom._desks.values()
    assert not desk._watcher.active
