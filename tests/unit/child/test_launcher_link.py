"""The child's end of the control socket: whatever the launcher does, the child never waits for it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from kombu_green.child.launcher_link import LauncherLink, Order
from kombu_green.ipc.messages import (
    CannotBoot,
    Drain,
    Heartbeat,
    LineReader,
    Malformed,
    Note,
    Ready,
    Release,
    Started,
    Stopped,
    encode,
)


@pytest.fixture
def ends() -> Iterator[tuple[LauncherLink, socket.socket]]:
    theirs, ours = socket.socketpair()
    link = LauncherLink(theirs.fileno())
    with theirs, ours:
        yield link, ours


def everything(end: socket.socket) -> list[Note | Malformed]:
    """What can be read now."""
    reader, notes = LineReader(), []
    end.setblocking(False)
    while True:
        try:
            notes += reader.feed(end.recv(65536))
        except BlockingIOError:
            return notes


def test_notes_arrive_in_order(ends: tuple[LauncherLink, socket.socket]) -> None:
    link, end = ends
    said: list[Note] = [Started(5), Heartbeat(1, 2, 3, 4), Ready(), Stopped(1)]
    for note in said:
        link.send(note)
    assert everything(end) == said


def test_a_launcher_that_does_not_read_gets_every_note_later_but_not_every_heartbeat(
    ends: tuple[LauncherLink, socket.socket],
) -> None:
    link, end = ends
    for _ in range(20_000):
        link.send(Heartbeat())
    problems = CannotBoot(["x" * 260_000])  # more than a socket takes at once
    link.send(Ready())
    link.send(problems)
    began = time.monotonic()
    link.flush(0.05)
    assert time.monotonic() - began < 10
    flusher = gevent.spawn(link.flush, 30)
    heard: list[Note | Malformed] = []
    reader = LineReader()
    end.setblocking(False)
    while problems not in heard:
        gevent.socket.wait_read(end.fileno(), 30)
        heard += reader.feed(end.recv(65536))
    flusher.get(timeout=30)
    assert heard[-2:] == [Ready(), problems]
    assert set(map(type, heard[:-2])) == {Heartbeat}
    assert len(heard) < 20_000
    link.send(Heartbeat(running=7))
    assert everything(end) == [Heartbeat(running=7)]


def test_orders_are_received_until_the_launcher_ends(ends: tuple[LauncherLink, socket.socket]) -> None:
    link, end = ends
    received: list[Order] = []
    listener = gevent.spawn(link.receive_orders, received.append)
    stream = encode(Drain(1.5)) + b"noise\n" + encode(Ready()) + encode(Release())
    for byte in stream:
        end.sendall(bytes([byte]))
        gevent.sleep(0)
    end.close()
    listener.get(timeout=30)
    assert received == [Drain(1.5), Release()]


def test_notes_to_a_launcher_that_has_ended_are_dropped(ends: tuple[LauncherLink, socket.socket]) -> None:
    link, end = ends
    end.close()
    for note in (Ready(), Heartbeat(), Stopped()):
        link.send(note)
    link.flush(10)
    gevent.spawn(link.receive_orders, lambda order: None).get(timeout=30)


def test_processes_that_the_child_starts_do_not_inherit_the_socket(ends: tuple[LauncherLink, socket.socket]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        LauncherLink(theirs.fileno())
        assert not os.get_inheritable(theirs.fileno())


def test_without_a_launcher_notes_are_dropped() -> None:
    link = LauncherLink(None)
    link.send(Ready())
    link.flush(10)
    assert not link.has_launcher
