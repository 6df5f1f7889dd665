"""Each peer's interpreter: ours is the runner's own, every other has a virtual environment made from its lock.

They are kept in ``.bench``, by the lock's name and hash: a changed lock is a new environment, and the old one can
be deleted.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.contract import Peer

__all__ = ["EnvironmentFailed", "interpreter"]

LOCKS = Path(__file__).parent / "peers"


class EnvironmentFailed(Exception):
    """A peer's environment could not be made; says which, and what pip said."""


def interpreter(peer: Peer, cache: Path, say: Callable[[str], None]) -> Path:
    """The Python that *peer* runs in, made if need be."""
    if peer.lock is None:
        return Path(sys.executable)
    lock = LOCKS / peer.lock
    folder = cache / name_of(lock)
    if not folder.exists():
        say(f"making the environment of {lock.stem} (once)")
        make(folder, lock)
    return folder / "bin" / "python"


def name_of(lock: Path) -> str:
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    return f"{lock.stem}-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"


def make(folder: Path, lock: Path) -> None:
    """Under another name first, so that what has the name is whole; of two that make it at once one is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as parent:
        half_made = Path(parent) / folder.name
        run([sys.executable, "-m", "venv", "--without-pip", str(half_made)], lock)
        pip = [sys.executable, "-m", "pip", "--python", str(half_made), "install", "--quiet", "--no-input"]
        run([*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(lock)], lock)
        if not folder.exists():
            shutil.move(half_made, folder)


def run(command: list[str], lock: Path) -> None:
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode:
        raise EnvironmentFailed(f"the environment of {lock.name}: {command[2]} failed:\n{ended.stdout}")
