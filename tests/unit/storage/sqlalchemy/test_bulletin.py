from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from kombu_green.exceptions import ConnectionLost
from kombu_green.storage.sqlalchemy.bulletin import Bulletin

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db-bulletin"


@pytest.fixture
def one(path: Path) -> Iterator[Bulletin]:
    with closing(Bulletin(path)) as bulletin, bulletin.turn():
        pass
    with closing(Bulletin(path)) as bulletin:
        yield bulletin


@pytest.fixture
def two(path: Path, one: Bulletin) -> Iterator[Bulletin]:
    with closing(Bulletin(path, patience=0.05)) as bulletin:
        yield bulletin


def test_what_one_announces_the_other_reads(one: Bulletin, two: Bulletin) -> None:
    before = two.news("video"), two.news("audio"), two.topology
    with one.turn():
        one.announce({"video"})
    after = two.news("video"), two.news("audio"), two.topology
    assert after == (before[0] + 1, before[1], before[2])
    with two.turn():
        two.topology_changed()
    assert one.topology == before[2] + 1


def test_the_size_changes_with_each_announcement(one: Bulletin, two: Bulletin, path: Path) -> None:
    """That is what the watchers of the file see; its time would not do, since they compare whole seconds."""
    sizes = [path.stat().st_size]
    for bulletin in (one, two) * 300:
        with bulletin.turn():
            bulletin.announce({"video"})
        sizes.append(path.stat().st_size)
    assert all(old != new for old, new in pairwise(sizes))
    assert max(sizes) < 10_000


def test_a_turn_keeps_the_others_waiting(one: Bulletin, two: Bulletin) -> None:
    with one.turn(), pytest.raises(ConnectionLost, match=r"another process has held this lock for 0.05 s"), two.turn():
        raise AssertionError("two turns at once")
    with two.turn():
        pass


def test_the_end_of_its_process_ends_a_turn(two: Bulletin, path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConnectionLost), two.turn():
            pass
        holder.kill()
        holder.wait()
        with two.turn():
            pass


def test_a_bulletin_that_was_removed_is_made_again(one: Bulletin, two: Bulletin, path: Path) -> None:
    old = one.topology
    path.unlink()
    with closing(Bulletin(path)) as new:
        for bulletin in one, two, new:
            with bulletin.turn():
                bulletin.announce({"video"})
        assert one.news("video") == two.news("video") == new.news("video")
        assert one.topology == two.topology == new.topology
        assert one.topology != old, "it must not look as if nothing had changed"


def test_a_file_that_was_cut_off_is_mended(one: Bulletin, path: Path) -> None:
    os.truncate(path, 3)
    assert isinstance(one.topology, int)
    assert one.news("video") == 0
    with one.turn():
        one.announce({"video"})
    assert one.news("video") == 1


def test_a_closed_one_has_no_news(path: Path) -> None:
    bulletin = Bulletin(path)
    bulletin.close()
    assert bulletin.news("video") == 0
