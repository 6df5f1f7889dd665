"""The launcher's socket: no client can make the launcher wait."""

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

from kombu_green.cli.status import LauncherStatus, query
from kombu_green.launcher.state_folder import socket_address
from kombu_green.launcher.status_server import StatusServer

SHORT: Mapping[str, Any] = {"ready": True}
LONG: Mapping[str, Any] = {"text": "x" * 4_000_000}  # more than a socket's buffers hold


class Loop:
    """A status server and its event loop, which is run by hand or by a thread."""

    def __init__(self, folder: Path, document: Mapping[str, Any] = SHORT) -> None:
        self.document = document
        self.selector = selectors.DefaultSelector()
        self.server = StatusServer(folder, lambda: self.document, self.selector)

    def turn(self, timeout: float = 0.0) -> float:
        """One turn of the loop; the seconds that it took beside waiting."""
        ready = self.selector.select(timeout)
        began = time.monotonic()
        for key, _ in ready:
            key.data.on_ready()
        self.server.close_late()
        return time.monotonic() - began

    @property
    def clients(self) -> int:
        return len(self.selector.get_map()) - 1

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        with socket_address(self.server.path) as name:
            client.connect(name)
        return client


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path)
    with loop.selector, loop.server:
        yield loop


def asked(loop: Loop, folder: Path) -> list[LauncherStatus]:
    """The result of :func:`query` while *loop* runs."""
    answers: list[LauncherStatus] = []
    thread = threading.Thread(target=lambda: answers.extend(query(folder, 20.0)))
    thread.start()
    while thread.is_alive():
        loop.turn(0.01)
    return answers


@pytest.mark.parametrize("document", [SHORT, LONG], ids=["short", "long"])
def test_a_client_receives_the_document_and_is_disconnected(
    loop: Loop, tmp_path: Path, document: Mapping[str, Any]
) -> None:
    loop.document = document
    assert asked(loop, tmp_path) == [LauncherStatus(os.getpid(), document)]
    loop.turn()
    assert loop.clients == 0


def test_a_client_that_does_not_read_delays_no_other_and_is_disconnected(loop: Loop, tmp_path: Path) -> None:
    loop.document = LONG
    with loop.connect() as silent:
        assert loop.turn(5) < 1
        assert loop.clients == 1
        assert asked(loop, tmp_path) == [LauncherStatus(os.getpid(), LONG)]
        deadline = time.monotonic() + 20
        while loop.clients and time.monotonic() < deadline:
            loop.turn(0.1)
        assert loop.clients == 0
        assert silent.fileno() >= 0


def test_a_client_that_leaves_at_once_is_no_error(loop: Loop, tmp_path: Path) -> None:
    loop.document = LONG
    loop.connect().close()
    loop.turn(5)
    assert loop.clients == 0
    assert asked(loop, tmp_path) == [LauncherStatus(os.getpid(), LONG)]


def test_more_than_sixteen_clients_are_turned_away(loop: Loop) -> None:
    loop.document = LONG
    crowd = []
    for _ in range(40):
        crowd.append(loop.connect())
        loop.turn()
    assert loop.clients == 16
    for one in crowd:
        one.close()


def test_the_socket_is_removed_with_its_server(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    with loop.selector:
        with loop.server:
            assert [path.name for path in tmp_path.iterdir()] == [f"{os.getpid()}.sock"]
        assert list(tmp_path.iterdir()) == []
        assert query(tmp_path, 1.0) == []


def test_a_socket_without_a_listener_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "4711.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    (tmp_path / "blames.json").touch()
    assert query(tmp_path, 1.0) == []
    assert [path.name for path in tmp_path.iterdir()] == ["blames.json"]


def test_a_socket_left_behind_under_this_pid_is_replaced(tmp_path: Path) -> None:
    for name in (f"{os.getpid()}.sock", f".{os.getpid()}.sock"):
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / name))
    loop = Loop(tmp_path)
    with loop.selector, loop.server:
        assert asked(loop, tmp_path) == [LauncherStatus(os.getpid(), SHORT)]
        assert len(list(tmp_path.iterdir())) == 1


def test_a_launcher_that_does_not_answer_or_sends_garbage_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "4711.sock"))
        deaf.listen()
        began = time.monotonic()
        assert query(tmp_path, 0.2) == [LauncherStatus(4711, None)]
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
        assert query(tmp_path, 20.0) == [LauncherStatus(4712, None)]
        thread.join()


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    loop = Loop(folder)
    with loop.selector, loop.server:
        assert asked(loop, folder) == [LauncherStatus(os.getpid(), SHORT)]


def test_a_folder_that_cannot_be_written_to_is_logged_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(tmp_path / "missing")
    with loop.selector, caplog.at_level(logging.WARNING), loop.server:
        loop.turn()
    assert "status is not served" in caplog.text
    assert query(tmp_path / "missing", 1.0) == []
