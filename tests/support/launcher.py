"""Starts a launcher in a process of its own and follows what it logs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = Path(__file__).with_name("programs")
ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for what should take a fraction of one; the machine may be busy

INI = """\
[worker]
heartbeat_timeout = 1s
[broker]
url = memory
[consumer:a]
queue = a
callback = a:b
[logging]
level = debug
format = json
"""


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Ask again and again, for what cannot be waited for otherwise, such as the end of a grandchild."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {patience} s"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between opening and reading
        return False


class Launched:
    """A running launcher and its log; killed with its children at the end of the ``with`` block."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, *, leader: bool = False) -> None:
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._fresh: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            cwd=cwd,
            text=True,
            start_new_session=leader,
        )
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.wait()
        while not self._fresh.empty():
            if (fresh := self._fresh.get()) is not None:
                self.events.append(fresh)
        for pid in self.children():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._reader.join(PATIENCE)
        assert self._popen.stderr is not None
        self._popen.stderr.close()

    def children(self) -> list[int]:
        """The pids of all processes that were started so far."""
        return [event["child"] for event in self.events if event.get("event") == "started"]

    def wait_for(self, event: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The *count*-th log record of *event* with these *fields*, now or soon."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [one for one in self.events if one.get("event") == event and fields.items() <= one.items()]
            if len(found) >= count:
                return found[count - 1]
            try:
                fresh = self._fresh.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event!r} {fields} within {PATIENCE} s; said:\n{self.log()}") from None
            assert fresh is not None, f"it ended without {event!r} {fields}; said:\n{self.log()}"
            self.events.append(fresh)

    def catch_up(self) -> None:
        """Take in what was logged meanwhile."""
        while not self._fresh.empty():
            fresh = self._fresh.get()
            if fresh is None:
                self._fresh.put(None)
                return
            self.events.append(fresh)

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end; all children are gone then."""
        code = self._popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (fresh := self._fresh.get()) is not None:
            self.events.append(fresh)
        self._fresh.put(None)
        left = [pid for pid in self.children() if alive(pid)]
        assert not left, f"still running: {left}; said:\n{self.log()}"
        return code

    def log(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            self.lines.append(line)
            # what Python prints when it crashes comes in pieces, and a record may begin behind one
            _, begins, record = line.rpartition('{"time"')
            if begins or line.startswith("{"):
                self._fresh.put(json.loads(begins + record or line))
        self._fresh.put(None)


def launch(
    folder: Path,
    *,
    child: str = "",
    processes: int = 1,
    command: Sequence[str] = (),
    timeouts: Mapping[str, float] | None = None,
    backoff: Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
    hard_memory: int = 0,
    terminal: str | None = None,
) -> Launched:
    """A launcher of *processes* of ``programs/scripted_child.py`` that behave as *child* says, or of *command*.

    Waits for a restart are short, those for what should not happen are long.  *terminal* becomes its controlling one.
    """
    ini = folder / "w.ini"
    ini.write_text(INI)
    described = {
        "command": list(command)
        or [sys.executable, "-P", "-X", "faulthandler", str(PROGRAMS / "scripted_child.py"), "run", "-c", str(ini)],
        "processes": processes,
        "timeouts": dict.fromkeys(("start", "heartbeat", "graceful", "margin", "release", "abort"), PATIENCE)
        | dict(timeouts or {}),
        "backoff": {"first": 0.05, "ceiling": 0.2} | dict(backoff or {}),
        "limits": dict(limits or {}),
        "hard_memory": hard_memory,
    }
    launcher = [sys.executable, str(PROGRAMS / "scripted_launcher.py"), json.dumps(described)]
    if terminal is not None:  # the first terminal that the leader of a session opens becomes its own
        launcher = ["sh", "-c", f'exec "$@" < {terminal}', "sh", *launcher]
    return Launched(
        launcher, {"CHILD": child, "CHILD_STARTS": str(folder / "starts")}, folder, leader=terminal is not None
    )
