"""The parent as its child sees it: whatever it does or does not do, the child never waits for it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from kombu_green.child.parent import Order, Parent
from kombu_green.ipc.messages import (
    CannotBoot,
    ChildReady,
    ChildStarted,
    ChildStopped,
    DrainOrder,
    Heartbeat,
    LineReader,
    Malformed,
    Note,
    ReleaseOrder,
    encode,
)


@pytest.fixture
def ends() -> Iterator[tuple[Parent, socket.socket]]:
    theirs, ours = socket.socketpair()
    parent = Parent(theirs.fileno())
    with theirs, ours:
        yield parent, ours


def everything(end: socket.socket) -> list[Note | Malformed]:
    """What can be read now."""
    reader, notes = LineReader(), []
    end.setblocking(False)
    while True:
        try:
            notes += reader.feed(end.recv(65536))
        except BlockingIOError:
            return notes


def test_notes_arrive(ends: tuple[Parent, socket.socket]) -> None:
    parent, end = ends
    said: list[Note] = [ChildStarted(5), Heartbeat(1, 2, 3, 4), ChildReady(), ChildStopped(1)]
    for note in said:
        parent.say(note)
    assert everything(end) == said


def test_a_parent_that_does_not_read_gets_every_note_later_but_not_every_heartbeat(
    ends: tuple[Parent, socket.socket],
) -> None:
    parent, end = ends
    for _ in range(20_000):
        parent.say(Heartbeat())
    problems = CannotBoot(["x" * 260_000])  # more than a socket takes at once
    parent.say(ChildReady())
    parent.say(problems)
    began = time.monotonic()
    parent.flush(0.05)
    assert time.monotonic() - began < 10
    flusher = gevent.spawn(parent.flush, 30)
    heard: list[Note | Malformed] = []
    reader = LineReader()
    end.setblocking(False)
    while problems not in heard:
        gevent.socket.wait_read(end.fileno(), 30)
        heard += reader.feed(end.recv(65536))
    flusher.get(timeout=30)
    assert heard[-2:] == [ChildReady(), problems]
    assert set(map(type, heard[:-2])) == {Heartbeat}
    assert len(heard) < 20_000
    parent.say(Heartbeat(running=7))
    assert everything(end) == [Heartbeat(running=7)]


def test_orders_are_obeyed_until_the_end(ends: tuple[Parent, socket.socket]) -> None:
    parent, end = ends
    obeyed: list[Order] = []
    listener = gevent.spawn(parent.listen, obeyed.append)
    stream = encode(DrainOrder(1.5)) + b"noise\n" + encode(ChildReady()) + encode(ReleaseOrder())
    for byte in stream:
        end.sendall(bytes([byte]))
        gevent.sleep(0)
    end.close()
    listener.get(timeout=30)
    assert obeyed == [DrainOrder(1.5), ReleaseOrder()]


def test_a_parent_that_is_gone_hears_nothing(ends: tuple[Parent, socket.socket]) -> None:
    parent, end = ends
    end.close()
    for note in (ChildReady(), Heartbeat(), ChildStopped()):
        parent.say(note)
    parent.flush(10)
    gevent.spawn(parent.listen, lambda order: None).get(timeout=30)


def test_what_the_child_starts_does_not_hold_the_socket(ends: tuple[Parent, socket.socket]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        Parent(theirs.fileno())
        assert not os.get_inheritable(theirs.fileno())


def test_without_a_parent_nobody_listens() -> None:
    parent = Parent(None)
    parent.say(ChildReady())
    parent.flush(10)
    assert not parent.present
