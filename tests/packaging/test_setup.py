"""``bin/setup`` in a folder of its own, with a lock that asks for nothing (so no network is used)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE_PYTHON = sys._base_executable  # type: ignore[attr-defined]  # the interpreter beneath the running .venv
BASH = shutil.which("bash") or "/bin/bash"


def checkout(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "setup", folder / "bin" / "setup")
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "kombu_green").mkdir()
    (folder / "kombu_green" / "__init__.py").write_text("")
    return folder


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHON": BASE_PYTHON, **more}


def start(folder: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BASH, str(folder / "bin" / "setup")],
        cwd="/",
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, **more: str) -> tuple[int, str]:
    """Exit code and everything that was said."""
    process = start(folder, **more)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def interpreter(folder: Path, name: str, body: str) -> Path:
    """A stand-in for another machine's python3: *body* in sh, then the real one with the same arguments."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n{body}\nexec "{BASE_PYTHON}" "$@"\n')
    path.chmod(0o755)
    return path


@dataclass(frozen=True)
class Made:
    folder: Path
    codes: list[int]
    said: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A checkout with a half-made .venv, and then two ``bin/setup`` at once, without so much as a home folder."""
    folder = checkout(tmp_path_factory.mktemp("a fresh clone"))
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(BASE_PYTHON)
    (folder / ".venv" / "left over").touch()
    running = [start(folder), start(folder)] if shutil.which("flock") else [start(folder)]
    said = "".join("".join(process.communicate(timeout=60)) for process in running)
    return Made(folder, [process.returncode for process in running], said)


def test_a_half_made_one_is_replaced_once(made: Made) -> None:
    assert set(made.codes) == {0}
    assert made.said.count("making .venv") == 1
    assert not (made.folder / ".venv" / "left over").exists()


def test_the_package_is_found_from_anywhere(made: Made) -> None:
    program = "import kombu_green; print(kombu_green.__file__)"
    out = subprocess.check_output([made.folder / ".venv/bin/python", "-c", program], cwd="/", env={}, text=True)
    assert out.strip() == str(made.folder / "kombu_green" / "__init__.py")


def test_a_second_run_says_nothing_and_touches_nothing(made: Made) -> None:
    files = made.folder / ".venv", made.folder / ".venv/stamp"
    before = [file.stat().st_mtime_ns for file in files]
    assert run(made.folder, PIP_INDEX_URL="http://127.0.0.1:1/", PIP_NO_INDEX="1") == (0, "")
    assert before == [file.stat().st_mtime_ns for file in files]


def test_another_lock_makes_it_anew_and_a_failure_leaves_it_half_made(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    assert run(folder)[0] == 0
    (folder / "requirements.lock").write_text("iniconfig==2.3.1 --hash=sha256:" + "0" * 64 + "\n")
    of_the_old_one = str(folder / ".venv" / "bin" / "python")  # as python3 is, where .venv is activated
    code, said = run(folder, PYTHON=of_the_old_one, PIP_NO_INDEX="1")
    assert code != 0
    assert "making .venv" in said
    assert "iniconfig" in said
    assert not (folder / ".venv/stamp").exists()


def test_without_ensurepip_it_names_the_package_and_never_asks_for_rights(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "clone")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    asked = tmp_path / "sudo was asked"
    python = interpreter(bin_folder, "python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    interpreter(bin_folder, "sudo", f'touch "{asked}"; exit 1')
    code, said = run(folder, PYTHON=str(python), PATH=f"{bin_folder}:{os.environ['PATH']}")
    assert code == 1
    assert "apt-get install python3-venv" in said
    assert not asked.exists()
    assert not (folder / ".venv").exists()


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "clone")
    old = tmp_path / "python3.9"
    old.write_text(
        f'#!/bin/sh\nshift\nprogram=$1\nexec "{BASE_PYTHON}" -c "import sys; sys.version_info = (3, 9, 2)\n$program"\n'
    )
    old.chmod(0o755)
    code, said = run(folder, PYTHON=str(old))
    assert code == 1
    assert "Python 3.11 or newer is needed" in said
    assert "Traceback" not in said


def test_no_python_at_all(tmp_path: Path) -> None:
    code, said = run(checkout(tmp_path), PYTHON="python3-that-is-not-there")
    assert code == 1
    assert "apt-get install python3" in said
