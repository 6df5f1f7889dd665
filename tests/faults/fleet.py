"""A real ``kombu-worker`` on a database of its own, and the accounts of what it did."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from kombu_green import Connection, Producer, Queue
from tests.processes.launching import Launched, alive

__all__ = ["Fleet"]

APPLICATIONS = Path(__file__).with_name("applications")

INI = """\
[worker]
path = {applications}
processes = {processes}
concurrency = {concurrency}
graceful_timeout = {graceful_timeout}
[broker]
url = {url}
lease = {lease}
[queue:jobs]
[consumer:jobs]
queue = jobs
callback = journal:handle
[logging]
format = json
"""


class Fleet:
    """Where everything of one test lies, and how to look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "broker.db"
        self.journal = folder / "journal"
        self.url = f"sqla+sqlite:///{self.database}"
        self._read = 0
        self._begun = 0
        self._handled: dict[int, list[int]] = defaultdict(list)

    def launch(
        self,
        *,
        processes: int = 2,
        concurrency: int = 10,
        lease: str = "2s",
        graceful_timeout: str = "30s",
        longest: float = 0.0,
    ) -> Launched:
        """Start it; callbacks take up to *longest* seconds."""
        ini = self.folder / "fleet.ini"
        ini.write_text(
            INI.format(
                applications=APPLICATIONS,
                processes=processes,
                concurrency=concurrency,
                graceful_timeout=graceful_timeout,
                url=self.url,
                lease=lease,
            )
        )
        environ = {"JOURNAL": str(self.journal), "LONGEST": str(longest)}
        return Launched([sys.executable, "-m", "kombu_green.cli", "-c", str(ini)], environ, self.folder)

    def publish(self, ids: Iterable[int]) -> None:
        with Connection(self.url) as connection:
            producer = Producer(connection)
            producer.maybe_declare(Queue("jobs"))
            for number in ids:
                producer.publish({"id": number}, routing_key="jobs")

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
        for word, number, pid in map(str.split, complete.splitlines()):
            if word == "begun":
                self._begun += 1
            else:
                self._handled[int(number)].append(int(pid))

    def begun(self) -> int:
        self.read()
        return self._begun

    def handled(self) -> Mapping[int, list[int]]:
        """For each id the processes that finished it, in order."""
        self.read()
        return self._handled

    def held(self) -> set[int]:
        """The ids that are leased just now: running or waiting in some process."""
        return self._ids("state = 1")

    def left(self) -> set[int]:
        """The ids that are still in any queue, the dead one included."""
        return self._ids("true")

    def _ids(self, condition: str) -> set[int]:
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute(f"SELECT body FROM kombu_green_message WHERE {condition}").fetchall()
        return {json.loads(body)["id"] for (body,) in rows}

    @staticmethod
    def living(launched: Launched) -> list[int]:
        """The processes that are ready and alive."""
        launched.catch_up()
        ready = [event["child"] for event in launched.events if event.get("event") == "ready"]
        return [pid for pid in ready if alive(pid)]


def freeze(pid: int) -> None:
    """Stop the process where it stands, so that its account can be taken."""
    os.kill(pid, signal.SIGSTOP)
