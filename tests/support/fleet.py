"""A real ``kombu-worker`` with a queue of its own, and the journal in which its callbacks write what they did."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from kombu_green import Connection, Producer, Queue
from tests.support.launcher import Launched, alive, until
from tests.support.rabbitmq import RabbitMQ

__all__ = ["Fleet", "RabbitMQFleet", "SQLiteFleet", "freeze", "wait_for_more"]

APPLICATIONS = Path(__file__).with_name("applications")

INI = """\
[worker]
path = {applications}
processes = {processes}
concurrency = {concurrency}
graceful_timeout = {graceful_timeout}
heartbeat_timeout = {heartbeat_timeout}
[broker]
url = {url}
lease = {lease}
[consumer:jobs]
queue = {queue}
callback = journal:{callback}
retry = soon
exclusive = {exclusive}
[retry:soon]
backoff = 1s..1s
[logging]
level = debug
format = json
"""


class Fleet:
    """The folder, queue and journal of one test: starts workers, publishes messages, and counts what was handled."""

    def __init__(self, folder: Path, url: str, queue: str) -> None:
        self.folder = folder
        self.url = url
        self.queue = queue
        self.journal = folder / "journal"
        self._read = 0
        self._begun: Counter[int] = Counter()
        self._times: list[float] = []
        self._handled: dict[int, list[int]] = defaultdict(list)

    def launch(
        self,
        *,
        processes: int = 2,
        concurrency: int = 10,
        lease: str = "2s",
        graceful_timeout: str = "30s",
        longest: float = 0.0,
        callback: str = "handle",
        exclusive: bool = False,
        heartbeat_timeout: str = "60s",
        applications: Path = APPLICATIONS,
        settings: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Launched:
        """Start it; callbacks take up to *longest* seconds.  *settings* are more of them, as on the command line."""
        ini = self.folder / "fleet.ini"
        ini.write_text(
            INI.format(
                applications=applications,
                processes=processes,
                concurrency=concurrency,
                graceful_timeout=graceful_timeout,
                url=self.url,
                queue=self.queue,
                lease=lease,
                callback=callback,
                exclusive="yes" if exclusive else "no",
                heartbeat_timeout=heartbeat_timeout,
            )
        )
        known = {"JOURNAL": str(self.journal), "LONGEST": str(longest), **(environ or {})}
        more = [part for setting in settings for part in ("--set", setting)]
        return Launched([sys.executable, "-m", "kombu_green.cli", "-c", str(ini), *more], known, self.folder)

    def publish(
        self, ids: Iterable[int], *, headers: Mapping[int, Mapping[str, str]] | None = None, named: bool = False
    ) -> None:
        """One message for each of *ids*; *headers* by place in that order; *named*: with ``m`` and id as message id."""

        def extra(number: int) -> dict[str, Any]:
            return {"message_id": f"m{number}"} if named else {}

        with Connection(self.url) as connection:
            producer = Producer(connection)
            producer.maybe_declare(Queue(self.queue))
            for at, number in enumerate(ids):
                producer.publish(
                    {"id": number},
                    routing_key=self.queue,
                    mandatory=True,
                    headers=dict((headers or {}).get(at, {})),
                    **extra(number),
                )

    # -- accounts

    def read(self) -> None:
        """Take in what was written to the journal since the last look."""
        if not self.journal.exists():
            return
        with open(self.journal) as file:
            file.seek(self._read)
            text = file.read()
        complete = text[: text.rfind("\n") + 1]
        self._read += len(complete)
        for word, number, pid, when in map(str.split, complete.splitlines()):
            if word == "begun":
                self._begun[int(number)] += 1
            else:
                self._handled[int(number)].append(int(pid))
                self._times.append(float(when))

    def begun(self, number: int | None = None) -> int:
        """How often callbacks were begun, all of them or those of one id."""
        self.read()
        return self._begun.total() if number is None else self._begun[number]

    def handled(self) -> Mapping[int, list[int]]:
        """For each id the processes that finished it, in order."""
        self.read()
        return self._handled

    def longest_gap(self, begin: float, end: float) -> float:
        """The most seconds between two wall clock times in which nothing was handled."""
        self.read()
        times = [begin, *sorted(when for when in self._times if begin < when < end), end]
        return max(later - sooner for sooner, later in itertools.pairwise(times))

    def waiting(self) -> int:
        """Messages that no process has, in the queue and its dead one."""
        with Connection(self.url) as connection:
            return sum(self._declared(connection, name).queue_declare(passive=True)[1] for name in self._queues)

    def dead(self) -> list[Mapping[str, Any]]:
        """The headers of all that was dead-lettered, in order; it stays where it is."""
        found: list[Mapping[str, Any]] = []
        with Connection(self.url) as connection:
            queue = self._declared(connection, self._queues[1])
            while (message := queue.get()) is not None:
                found.append(message.headers)
        return found

    def left(self) -> set[int]:
        """The ids that are in the queue or its dead one, once no process has any."""
        found = set()
        with Connection(self.url) as connection:
            for name in self._queues:
                queue = self._declared(connection, name)
                while (message := queue.get()) is not None:
                    found.add(message.payload["id"])
        return found  # closing the connection gave all of them back

    @property
    def _queues(self) -> tuple[str, str]:
        return self.queue, f"{self.queue}.dead"

    @staticmethod
    def _declared(connection: Connection, name: str) -> Queue:
        queue = Queue(name)(connection.default_channel)
        queue.declare()
        return queue

    def held(self) -> Callable[[int], bool]:
        """Whether an id was running or waiting in some process at this moment, as far as the broker can be asked."""
        raise NotImplementedError

    @staticmethod
    def living(launched: Launched) -> list[int]:
        """The processes that are ready and alive."""
        launched.catch_up()
        ready = [event["child"] for event in launched.events if event.get("event") == "ready"]
        return [pid for pid in ready if alive(pid)]


class SQLiteFleet(Fleet):
    """On an SQLite file in its folder, which has the id of every message that is leased."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "broker.db"
        super().__init__(folder, f"sqla+sqlite:///{self.database}", "jobs")

    def held(self) -> Callable[[int], bool]:
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT body FROM kombu_green_message WHERE state = 1").fetchall()
        return {json.loads(body)["id"] for (body,) in rows}.__contains__


class RabbitMQFleet(Fleet):
    """On a RabbitMQ, which counts unacked messages, and does not say which they are."""

    def __init__(self, folder: Path, server: RabbitMQ) -> None:
        self.server = server
        super().__init__(folder, server.url, f"jobs-{uuid.uuid4().hex[:8]}")

    def held(self) -> Callable[[int], bool]:
        return lambda number: True


def wait_for_more(fleet: Fleet, callbacks: int) -> None:
    """Wait until so many more have begun."""
    goal = fleet.begun() + callbacks
    until(lambda: fleet.begun() >= goal, f"{goal} callbacks begun")


def freeze(pid: int) -> None:
    """Suspend the process with SIGSTOP, so that what it holds can be counted before it is killed."""
    os.kill(pid, signal.SIGSTOP)
