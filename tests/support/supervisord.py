"""A folder laid out like a checkout, with ``conf/supervisord.conf`` as it is shipped, and a real supervisord."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.support.launcher import PATIENCE, ROOT, alive, until

__all__ = ["CONF", "Supervised", "programs"]

CONF: Final = ROOT / "conf" / "supervisord.conf"
_COMMAND: Final = f"""\
#!/bin/sh
exec {sys.executable} -m kombu_green.cli "$@"
"""


def programs(*names: str, **changed: int) -> str:
    """The shipped file, with a program more for each of *names*: as that for media, of another ini file.

    Numbers that are *changed* are so for all of them.
    """
    shipped = CONF.read_text()
    for key, value in changed.items():
        shipped, count = re.subn(rf"(?m)^{key} = \d+$", f"{key} = {value}", shipped)
        assert count == 1
    section = shipped[shipped.index("[program:media]") : shipped.index("[supervisord]")]
    more = (section.replace("media", name) for name in names)
    return "\n".join([shipped, *more])


class Supervised:
    """supervisord on *folder*, which gets ``bin``, ``conf`` and ``var``; killed at the end of the ``with`` block."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder: Final = folder
        self._environ: Final = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        self._conf: Final = folder / "conf" / CONF.name
        for name in ("bin", "conf", "var"):
            (folder / name).mkdir()
        (folder / "bin" / "kombu-worker").write_text(_COMMAND)
        (folder / "bin" / "kombu-worker").chmod(0o755)
        shutil.copyfile(CONF, self._conf)

    def write(self, name: str, text: str) -> None:
        """A file in ``conf``, before it is entered."""
        (self.folder / "conf" / name).write_text(text)

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(self._conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environ,
            cwd=self.folder,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.wait()
        for pid in {event["pid"] for event in self.events()} | set(self.children()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def exit_code(self) -> int:
        return self._popen.wait(PATIENCE)

    def ctl(self, *arguments: str) -> str:
        """What supervisorctl prints."""
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._conf), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environ,
            cwd=self.folder,
            check=False,
            timeout=2 * PATIENCE,
        )
        return done.stdout + done.stderr

    # -- what the workers say

    def log(self, program: str = "media") -> str:
        path = self.folder / "var" / f"{program}-worker.log"
        return path.read_text() if path.exists() else ""

    def events(self, program: str = "media") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log(program).splitlines(keepends=True) if line.endswith("}\n")]

    def said(self, event: str, program: str = "media") -> list[dict[str, Any]]:
        return [one for one in self.events(program) if one.get("event") == event]

    def wait_for(self, event: str, count: int = 1, program: str = "media") -> dict[str, Any]:
        """The *count*-th log record of *event*, now or soon."""
        until(lambda: len(self.said(event, program)) >= count, f"{event!r} is said, {count} times")
        return self.said(event, program)[count - 1]

    def children(self, program: str = "media") -> list[int]:
        """The worker processes that were started so far."""
        return [event["child"] for event in self.said("started", program)]

    def launcher(self, program: str = "media") -> int:
        """The pid of the launcher that started the last one of them."""
        pid: int = self.said("started", program)[-1]["pid"]
        return pid

    def left(self, program: str = "media") -> list[int]:
        """The processes of *program* that live."""
        known = {event["pid"] for event in self.events(program)} | set(self.children(program))
        return sorted(filter(alive, known))
