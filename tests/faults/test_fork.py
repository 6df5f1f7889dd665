"""A callback that forks: each message is handled once, by the parent, and its children take nothing.

Each message makes its callback fork in one way.  The child waits, so that an inherited greenlet would run if it could,
and uses brokers of its own.  Every call and every child writes a line.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue

MESSAGES = 40
WAYS = ["fork", "returns", "raises", "multiprocessing", "preexec", "publishes", "settles"]

PROGRAM = """
import gevent.monkey
gevent.monkey.patch_all()

import multiprocessing, os, subprocess, sys, time
import gevent, gevent.os
from kombu_green import Connection, Producer, Worker
from kombu_green.clock import Deadline

url, queue, log, ways, count, offload = sys.argv[1:7]
ways, count = ways.split(","), int(count)
parent = os.getpid()
done = gevent.event.Event()
handled = []


def write(*words):
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(str, words)) + "\\n").encode())
    os.close(fd)


def in_child(number, connection=None):
    gevent.sleep(0.05)  # what is inherited would run now
    if offload == "no":  # gevent's subprocess works in the main thread only
        subprocess.run(["true"], check=True)
    if connection is not None:
        with connection:  # as new: it connects
            Producer(connection.default_channel).publish(number, routing_key=queue + ".children")
    write("child", number, os.getpid() != parent)


def forked(number, way, message):
    pid = os.fork() if offload == "no" else gevent.os.fork_gevent()
    if pid:
        waitpid = os.waitpid if offload == "no" else gevent.monkey.get_original("os", "waitpid")
        assert waitpid(pid, 0)[1] == (256 if way == "raises" else 0)
        return
    in_child(number, shared if way == "publishes" else None)
    if way == "settles":
        try:
            message.ack()
        except Exception as error:
            write("refused", number, type(error).__name__)
    if way == "raises":
        raise ValueError("in the child of a fork")
    if way in ("fork", "publishes"):
        os._exit(0)


def handle(body, message):
    write("call", body, os.getpid() == parent)
    way = ways[body % len(ways)]
    if way == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=in_child, args=(body,))
        process.start()
        process.join()
        assert process.exitcode == 0
    elif way == "preexec":
        subprocess.run(["true"], check=True, preexec_fn=lambda: write("child", body, os.getpid() != parent))
    else:
        forked(body, way, message)
    handled.append(body)
    if len(handled) == count:
        done.set()


shared = Connection(url)
shared.connect()
app = Worker(url, concurrency=4)
app.callback(queue=queue, offload=offload == "yes")(handle)
app.record()
app.start()
assert app.ready.wait(30)
assert done.wait(100)
app.stop(Deadline.after(20))
shared.close()
write("end", app._counters.lost_leases, app._counters.unsettled)
"""


@pytest.fixture(params=["sqlite", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "rabbitmq":
        yield str(request.getfixturevalue("rabbitmq").url)
    else:
        yield f"sqla+sqlite:///{tmp_path}/broker.db"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("offload", ["no", "yes"])
def test_a_callback_may_fork_in_every_way(url: str, tmp_path: Path, offload: str) -> None:
    queue, log = f"fork-{uuid.uuid4().hex[:8]}", tmp_path / "log"
    # gevent watches children from the main thread only: its own functions for them do not work in other threads
    ways = [way for way in WAYS if offload == "no" or way in ("fork", "returns", "raises", "settles")]
    with Connection(url) as connection:
        children = connection.SimpleQueue(f"{queue}.children")
        simple = connection.SimpleQueue(queue)
        for number in range(MESSAGES):
            simple.put(number)
        command = [sys.executable, "-c", PROGRAM, url, queue, str(log), ",".join(ways), str(MESSAGES), offload]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in log.read_text().splitlines()]
        calls = [
            (int(number), where) for kind, number, where in (line for line in lines if len(line) == 3) if kind == "call"
        ]
        assert Counter(calls) == Counter((number, "True") for number in range(MESSAGES)), "each once, in the parent"
        born = Counter(int(line[1]) for line in lines if line[0] == "child")
        assert born == Counter(range(MESSAGES))
        assert lines[-1] == ["end", "0", "0"], "no ack was lost"
        published = [number for number in range(MESSAGES) if ways[number % len(ways)] == "publishes"]
        found = [children.get(timeout=5).payload for _ in published]
        assert sorted(found) == published
        refused = {int(line[1]) for line in lines if line[0] == "refused"}
        settling = {number for number in range(MESSAGES) if ways[number % len(ways)] == "settles"}
        # an ack of another thread is left to the hub of the connection's, on AMQP, and no child has that
        assert refused == settling or (offload == "yes" and not refused)
        for name in (queue, f"{queue}.dead", f"{queue}.children"):
            left = Queue(name)(connection.channel())
            left.declare()
            assert left.get() is None
            left.delete()
