"""The worker that a run starts, watches and stops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

STOPPING = 40.0  # seconds; conf/media.ini lets running callbacks finish for 30


class WorkerProcess:
    """``kombu-worker -c CONFIG`` for as long as the ``with`` block lasts; what it prints goes to *log*.

    The broker's URL is handed over in the environment: everybody can read a command line, and it may hold a password.
    """

    def __init__(self, config: Path, broker: str, log: Path) -> None:
        self.log = log
        self._command = [
            sys.executable,
            "-m",
            "kombu_green.cli",
            "-c",
            str(config),
            "--set",
            f"worker.state={log.parent / 'state'}",
        ]
        self._environment = os.environ | {"KOMBU_GREEN_BROKER": broker}

    def __enter__(self) -> Self:
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_words(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ask it to stop, and insist when it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
