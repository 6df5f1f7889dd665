"""Rounds are real processes here, of peers that do nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import runner
from benchmarks.contract import Case, Peer, Workload
from benchmarks.runner import Runner

PEERS = {
    "kombu_green": Peer("kombu_green", "tests.unit.benchmarks.first", distributions=("pytest",)),
    "other": Peer("other", "tests.unit.benchmarks.second", patched=True),
}
BOTH = tuple(PEERS)


class Journal:
    """A server, as far as the runner can tell: its URL is a file's path, and it knows whether it is up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts = 0
        self.is_up = False

    @contextmanager
    def __call__(self, folder: Path) -> Iterator[str]:
        assert folder.is_dir()
        self.starts += 1
        self.is_up = True
        yield str(self.path)
        self.is_up = False


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_peers_take_turns_in_fresh_processes_and_folders(tmp_path: Path, journal: Journal) -> None:
    said: list[str] = []
    workload = Workload("trivial", (Case("counts", BOTH, 7, name="counts"),), journal)
    [figures] = Runner(PEERS, tmp_path / "cache", said.append).run(workload, 2)

    lines = [line.split() for line in journal.path.read_text().splitlines()]
    assert [name for name, _, _ in lines] == ["first", "second", "first", "second"]
    assert len({pid for _, pid, _ in lines}) == 4
    assert {files for _, _, files in lines} == {"0"}
    assert [(line.peer, line.rounds, line.messages) for line in figures] == [("kombu_green", 2, 7), ("other", 2, 7)]
    assert "pytest" in figures[0].versions
    assert len(said) == 4
    assert (journal.starts, journal.is_up) == (1, False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_breaks_is_told_and_ends_nothing_else(tmp_path: Path, journal: Journal) -> None:
    cases = (Case("breaks", BOTH, 1, name="breaks"), Case("counts", BOTH, 1, name="counts"))
    broken, counted = Runner(PEERS, tmp_path).run(Workload("trivial", cases, journal), 1)
    assert [(line.rounds, line.failure) for line in broken] == [(0, "ValueError: it is broken")] * 2
    assert [line.rounds for line in counted] == [1, 1]


def test_a_round_that_hangs_is_ended(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE", 1.0)
    case = Case("hangs", ("kombu_green",), 1, name="hangs", seconds=0.5)
    [[line]] = Runner(PEERS, tmp_path).run(Workload("trivial", (case,), journal), 1)
    assert line.failure == "not done after 2 s"
    with pytest.raises(ProcessLookupError):
        os.kill(int(journal.path.read_text()), 0)


def test_a_profile_is_left_for_each_case(tmp_path: Path, journal: Journal) -> None:
    workload = Workload("trivial", (Case("counts", BOTH, 1, name="counts"),), journal)
    [(case, outcome, files)] = Runner(PEERS, tmp_path / "cache").profile(workload, "other", tmp_path)
    assert case.name == "counts"
    assert outcome.sample is not None
    assert [file.name for file in files] == ["round.prof"]
