"""Whole workers as processes of their own, watched from outside while they handle what waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.applications.marks import handled, sample, trails
from benchmarks.processes import Tree
from benchmarks.round import Load, Sample

__all__ = ["consumed", "started"]

STOPPING = 10.0  # seconds until a worker that was asked to stop is killed
LOOK = 0.005  # seconds between two looks at what was handled
SETTLE = 2.0  # seconds after the first message until a worker counts as idle
IDLE = 4.0  # seconds over which idling is measured

Command = Sequence[str]


def consumed(load: Load, commands: Sequence[Command], processes: int, waiting: int | None = None) -> Sample:
    """Run *commands*, which make so many worker processes together, until all that waits is handled or time is up.

    *waiting* says how many wait, where it was not all that the load asks for.
    """
    marks = _folder(load)
    messages = load.messages if waiting is None else waiting
    with _running(load, commands, marks, messages // processes // 2) as workers:
        _wait(workers, marks, load.seconds, messages)
        found = trails(marks)
    if len(found) < processes:
        raise RuntimeError(f"{len(found)} of {processes} processes handled something: {_last_words(marks)}")
    result = sample(found, load.warm_up)
    total = sum(len(trail.when) for trail in found)
    if result.messages < total / 4:
        raise RuntimeError(f"only {result.messages} of {total} messages were left when all processes were at work")
    return result


def started(load: Load, command: Command) -> Sample:
    """Run *command* until the first message is handled, then watch it idle."""
    marks = _folder(load)
    began = time.monotonic()
    with _running(load, [command], marks, 0) as workers:
        _wait(workers, marks, load.seconds, 1)
        found = trails(marks)
        if not found:
            raise RuntimeError(f"no message was handled in {load.seconds:.0f} s: {_last_words(marks)}")
        cpu = Tree(workers[0].pid).cpu()
        time.sleep(SETTLE)
        tree = Tree(workers[0].pid)
        before = tree.cpu()
        time.sleep(IDLE)
        idle = tree.cpu() - before
        seconds = found[0].when[0] - began
        memory = tree.memory()
    extra = {
        "first_message_s": seconds,
        "worker_rss_mib": memory[-1],
        "all_rss_mib": sum(memory),
        "idle_cpu_percent": idle / IDLE * 100,
    }
    return Sample(1, seconds, cpu, extra)


def _folder(load: Load) -> Path:
    marks = Path(load.folder) / "marks"
    marks.mkdir()
    return marks


@contextmanager
def _running(
    load: Load, commands: Sequence[Command], marks: Path, until: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = os.environ | {"BENCH_MARKS": str(marks), "KOMBU_WORKER_STATE": f"{load.folder}/state"}
    if load.profile:
        environment |= {"BENCH_PROFILE": load.profile, "BENCH_PROFILE_UNTIL": str(until)}
    workers: list[subprocess.Popen[bytes]] = []
    with open(Path(load.folder) / "workers.log", "w+b") as log:
        try:
            for command in commands:
                workers.append(
                    subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )
            yield workers
        finally:
            _stop(workers)


def _wait(workers: Sequence[subprocess.Popen[bytes]], marks: Path, seconds: float, messages: int) -> None:
    """Return when so many messages are handled, or after *seconds*; a worker that ends is an error."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and handled(marks) < messages:
        for worker in workers:
            if worker.poll() is not None:
                raise RuntimeError(f"a worker ended with exit code {worker.returncode}: {_last_words(marks)}")
        time.sleep(LOOK)


def _last_words(marks: Path) -> str:
    lines = (marks.parent / "workers.log").read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
    end = time.monotonic() + STOPPING
    for worker in workers:
        try:
            worker.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
