"""Where each peer's interpreter is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.contract import Peer
from benchmarks.environments import EnvironmentFailed, interpreter
from benchmarks.peers import PEERS


def test_ours_is_the_one_that_runs() -> None:
    assert interpreter(Peer("ours", "m"), Path("/nowhere"), print) == Path(sys.executable)


def test_one_is_made_once_and_anew_when_the_lock_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    lock = tmp_path / "peer.txt"
    lock.write_text("# needs nothing\n")
    said: list[str] = []
    peer = Peer("peer", "m", lock="peer.txt")
    first = interpreter(peer, tmp_path / "cache", said.append)
    assert first.exists()
    assert interpreter(peer, tmp_path / "cache", said.append) == first
    assert len(said) == 1

    lock.write_text(f"--no-index\nnot-there==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(EnvironmentFailed, match=r"the environment of peer\.txt: pip failed:\n(.*\n)*.*not-there"):
        interpreter(peer, tmp_path / "cache", said.append)
    assert list((tmp_path / "cache").iterdir()) == [first.parents[1]]  # nothing half made


@pytest.mark.parametrize("peer", [peer for peer in PEERS.values() if peer.lock])
def test_every_lock_has_hashes(peer: Peer) -> None:
    assert peer.lock is not None
    text = (environments.LOCKS / peer.lock).read_text()
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith(("#", " "))]
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)
