"""Whole workers, watched from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import Tree
from benchmarks.round import Load
from benchmarks.workers import consumed

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes can be seen from outside on Linux only")


def load(folder: Path, messages: int) -> Load:
    return Load("trivial", "", messages, 0, 30.0, "", str(folder))


def worker(folder: Path, marks: int) -> list[str]:
    return [sys.executable, "-m", "tests.unit.benchmarks.worker", str(marks), str(folder / "marks")]


def test_workers_are_watched_until_all_is_handled_and_then_stopped(tmp_path: Path) -> None:
    found = consumed(load(tmp_path, 100), [worker(tmp_path, 50)] * 2, 2)
    assert 50 <= found.messages <= 99  # what came before both were at work does not count
    assert found.wall > 0


def test_a_worker_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^a worker ended with exit code 1: nothing to do$"):
        consumed(load(tmp_path, 10), [worker(tmp_path, 0)], 1)


@linux
def test_a_tree_is_a_process_and_its_descendants() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        tree = Tree(parent.pid)
        assert tree.pids[0] == parent.pid
        assert len(tree.pids) == 2
        assert all(1 < size < 500 for size in tree.memory())
        assert tree.cpu() > 0
        parent.communicate(b"\n")


@linux
def test_the_cpu_time_is_the_one_that_a_process_sees_itself() -> None:
    # in a process of its own: this one may have children, servers of other tests, which count too
    program = (
        "import os, time; from benchmarks.processes import Tree;"
        "sum(range(10**6)); before = time.process_time(); seen = Tree(os.getpid()).cpu();"
        "assert before - 0.02 <= seen <= time.process_time() + 0.02, (before, seen)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
