from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import gevent
import pytest

from kombu_green.exceptions import ConnectionLost
from kombu_green.storage.sqlalchemy.change_file import ChangeFile, ChangeWatcher
from kombu_green.storage.wakeups import QueueListeners, WakeupFlag

PATIENCE = 20.0

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db-changes"


@pytest.fixture
def one(path: Path) -> Iterator[ChangeFile]:
    with closing(ChangeFile(path, PATIENCE)) as file, file.turn():
        pass
    with closing(ChangeFile(path, PATIENCE)) as file:
        yield file


@pytest.fixture
def two(path: Path, one: ChangeFile) -> Iterator[ChangeFile]:
    with closing(ChangeFile(path, patience=0.05)) as file:
        yield file


def test_what_one_announces_the_other_reads(one: ChangeFile, two: ChangeFile) -> None:
    before = two.changes("video"), two.changes("audio"), two.topology
    with one.turn():
        one.announce({"video"})
    after = two.changes("video"), two.changes("audio"), two.topology
    assert after == (before[0] + 1, before[1], before[2])
    with two.turn():
        two.announce_topology()
    assert one.topology == before[2] + 1


def test_the_size_changes_with_each_announcement(one: ChangeFile, two: ChangeFile, path: Path) -> None:
    """That is what the watchers of the file see; its time would not do, since they compare whole seconds."""
    sizes = [path.stat().st_size]
    for file in (one, two) * 300:
        with file.turn():
            file.announce({"video"})
        sizes.append(path.stat().st_size)
    assert all(old != new for old, new in pairwise(sizes))
    assert max(sizes) < 10_000


def test_a_turn_keeps_others_waiting(one: ChangeFile, two: ChangeFile) -> None:
    with one.turn(), pytest.raises(ConnectionLost, match=r"another process has held this lock for 0.05 s"), two.turn():
        raise AssertionError("two turns at once")
    with two.turn():
        pass


def test_the_end_of_its_process_ends_a_turn(two: ChangeFile, path: Path) -> None:
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


def test_a_file_that_was_removed_is_created_again(one: ChangeFile, two: ChangeFile, path: Path) -> None:
    old = one.topology
    path.unlink()
    with closing(ChangeFile(path, PATIENCE)) as new:
        for file in one, two, new:
            with file.turn():
                file.announce({"video"})
        assert one.changes("video") == two.changes("video") == new.changes("video")
        assert one.topology == two.topology == new.topology
        assert one.topology != old, "it must not look as if nothing had changed"


def test_a_file_that_was_truncated_is_repaired(one: ChangeFile, path: Path) -> None:
    os.truncate(path, 3)
    assert isinstance(one.topology, int)
    assert one.changes("video") == 0
    with one.turn():
        one.announce({"video"})
    assert one.changes("video") == 1


def test_a_closed_file_reads_as_unchanged(path: Path) -> None:
    file = ChangeFile(path, PATIENCE)
    file.close()
    assert file.changes("video") == 0


@pytest.fixture
def watcher(one: ChangeFile) -> ChangeWatcher:
    """Watches on behalf of *one*; *two*, another object on the same file, stands for another process."""
    return ChangeWatcher(QueueListeners(), one)


def announce(file: ChangeFile, *queues: str) -> None:
    with file.turn():
        file.announce(queues)


def test_an_announcement_sets_the_flag(watcher: ChangeWatcher, two: ChangeFile) -> None:
    flag = WakeupFlag()
    for _ in range(5):
        with watcher.listen(flag, ["video"]):
            gevent.sleep(0.001)
            announce(two, "video")
            assert flag.wait(PATIENCE)


def test_an_announcement_of_another_queue_does_not(watcher: ChangeWatcher, two: ChangeFile) -> None:
    video, audio = WakeupFlag(), WakeupFlag()
    with watcher.listen(video, ["video"]), watcher.listen(audio, ["audio"]):
        announce(two, "video")
        assert video.wait(PATIENCE)
        assert not audio.wait(0)


def test_a_second_listener_hides_no_change_from_the_first(watcher: ChangeWatcher, two: ChangeFile) -> None:
    first, second = WakeupFlag(), WakeupFlag()
    with watcher.listen(first, ["video"]):
        announce(two, "video")
        with watcher.listen(second, ["video"]):
            assert first.wait(PATIENCE)


def test_a_listener_that_stops_hides_no_change_from_the_others(watcher: ChangeWatcher, two: ChangeFile) -> None:
    first, second = WakeupFlag(), WakeupFlag()
    with watcher.listen(first, ["video", "audio"]):
        with watcher.listen(second, ["video"]):
            pass
        announce(two, "video")
        assert first.wait(PATIENCE)


def test_the_file_is_not_watched_while_no_consumer_waits(watcher: ChangeWatcher, two: ChangeFile) -> None:
    flag = WakeupFlag()
    with watcher.listen(flag, ["video"]):
        pass
    announce(two, "video")
    assert not flag.wait(0.05)
    (of_this_hub,) = watcher._hubs.values()
    assert not of_this_hub._stat.active
