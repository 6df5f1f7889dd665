"""A child finds the parent's own kombu_green, wherever it is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kombu_green
from kombu_green.launcher.children import child_command, child_environment

ROOT = str(Path(str(kombu_green.__file__)).resolve().parents[1])


def test_the_command() -> None:
    command = child_command("run", Path("conf/w.ini"), ["a.b=c", "d.e=f g"])
    assert command[0] == sys.executable
    assert command[-7:] == ["run", "-c", "conf/w.ini", "--set", "a.b=c", "--set", "d.e=f g"]


def test_a_checkout_comes_first_on_the_path() -> None:
    assert child_environment({"A": "b"}) == {"A": "b", "PYTHONPATH": ROOT}
    assert child_environment({"PYTHONPATH": "/x:/y"}) == {"PYTHONPATH": f"{ROOT}:/x:/y"}


def test_what_lies_around_in_the_current_folder_is_not_taken(tmp_path: Path) -> None:
    for name in ("argparse.py", "queue.py", "kombu_green.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')")
    command = child_command("check", Path("none.ini"), [])
    done = subprocess.run(command, env=child_environment({}), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "kombu-worker: none.ini: cannot be read: No such file or directory\n"
    assert done.returncode == 78
