"""The worker process of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

STOPPING = 40.0  # seconds until SIGKILL; conf/media.ini has a graceful_timeout of 30


class WorkerProcess:
    """Runs ``kombu-worker -c CONFIG`` for the duration of a ``with`` block; its output goes to the file *log*.

    The broker's URL is passed in the environment: it may contain a password, and all users can see command lines.
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
        """The exit code, or None while it runs."""
        return self._process.poll()

    def last_words(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send SIGTERM, and SIGKILL if the worker does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
