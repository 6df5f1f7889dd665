"""The launcher's socket: nobody who asks can make the launcher wait."""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kombu_green.launcher.enquiry import Answer, ask
from kombu_green.launcher.reception import Reception, reachable

SHORT: Mapping[str, Any] = {"ready": True}
LONG: Mapping[str, Any] = {"text": "x" * 4_000_000}  # more than a socket's buffers hold


class Desk:
    """A reception and the loop that it is part of, turned by hand or by a thread."""

    def __init__(self, folder: Path, told: Mapping[str, Any] = SHORT) -> None:
        self.told = told
        self.selector = selectors.DefaultSelector()
        self.reception = Reception(folder, lambda: self.told, self.selector)

    def turn(self, timeout: float = 0.0) -> float:
        """One turn of the loop; the seconds that it took beside waiting."""
        ready = self.selector.select(timeout)
        began = time.monotonic()
        for key, _ in ready:
            key.data.hear(self.selector)
        self.reception.tidy()
        return time.monotonic() - began

    @property
    def visitors(self) -> int:
        return len(self.selector.get_map()) - 1

    def connect(self) -> socket.socket:
        visitor = socket.socket(socket.AF_UNIX)
        with reachable(self.reception.path) as name:
            visitor.connect(name)
        return visitor


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with desk.selector, desk.reception:
        yield desk


def asked(desk: Desk, folder: Path) -> list[Answer]:
    """What :func:`ask` finds while the desk's loop turns."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.extend(ask(folder, 20.0)))
    thread.start()
    while thread.is_alive():
        desk.turn(0.01)
    return answers


@pytest.mark.parametrize("told", [SHORT, LONG], ids=["short", "long"])
def test_a_visitor_is_told_everything_and_is_gone(desk: Desk, tmp_path: Path, told: Mapping[str, Any]) -> None:
    desk.told = told
    assert asked(desk, tmp_path) == [Answer(os.getpid(), told)]
    desk.turn()
    assert desk.visitors == 0


def test_one_who_does_not_read_holds_nobody_up_and_is_left_standing(desk: Desk, tmp_path: Path) -> None:
    desk.told = LONG
    with desk.connect() as silent:
        assert desk.turn(5) < 1
        assert desk.visitors == 1
        assert asked(desk, tmp_path) == [Answer(os.getpid(), LONG)]
        deadline = time.monotonic() + 20
        while desk.visitors and time.monotonic() < deadline:
            desk.turn(0.1)
        assert desk.visitors == 0
        assert silent.fileno() >= 0


def test_one_who_leaves_at_once_is_no_accident(desk: Desk, tmp_path: Path) -> None:
    desk.told = LONG
    desk.connect().close()
    desk.turn(5)
    assert desk.visitors == 0
    assert asked(desk, tmp_path) == [Answer(os.getpid(), LONG)]


def test_a_crowd_finds_a_closed_door(desk: Desk) -> None:
    desk.told = LONG
    crowd = []
    for _ in range(40):
        crowd.append(desk.connect())
        desk.turn()
    assert desk.visitors == 16
    for one in crowd:
        one.close()


def test_the_socket_goes_with_its_reception(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.selector:
        with desk.reception:
            assert [path.name for path in tmp_path.iterdir()] == [f"{os.getpid()}.sock"]
        assert list(tmp_path.iterdir()) == []
        assert ask(tmp_path, 1.0) == []


def test_a_socket_that_nobody_listens_to_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "4711.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    (tmp_path / "blames.json").touch()
    assert ask(tmp_path, 1.0) == []
    assert [path.name for path in tmp_path.iterdir()] == ["blames.json"]


def test_one_that_was_left_behind_under_this_pid_is_replaced(tmp_path: Path) -> None:
    for name in (f"{os.getpid()}.sock", f".{os.getpid()}.sock"):
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / name))
    desk = Desk(tmp_path)
    with desk.selector, desk.reception:
        assert asked(desk, tmp_path) == [Answer(os.getpid(), SHORT)]
        assert len(list(tmp_path.iterdir())) == 1


def test_who_does_not_answer_or_says_rubbish_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "4711.sock"))
        deaf.listen()
        began = time.monotonic()
        assert ask(tmp_path, 0.2) == [Answer(4711, None)]
        assert time.monotonic() - began < 5
    (tmp_path / "4711.sock").unlink()
    with socket.socket(socket.AF_UNIX) as babbler:
        babbler.bind(str(tmp_path / "4712.sock"))
        babbler.listen()

        def babble() -> None:
            connection, _ = babbler.accept()
            with connection:
                connection.sendall(json.dumps([1]).encode())

        thread = threading.Thread(target=babble)
        thread.start()
        assert ask(tmp_path, 20.0) == [Answer(4712, None)]
        thread.join()


def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    desk = Desk(folder)
    with desk.selector, desk.reception:
        assert asked(desk, folder) == [Answer(os.getpid(), SHORT)]


def test_a_folder_that_cannot_be_written_to_is_said_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path / "missing")
    with desk.selector, caplog.at_level(logging.WARNING), desk.reception:
        desk.turn()
    assert "status is not served" in caplog.text
    assert ask(tmp_path / "missing", 1.0) == []
