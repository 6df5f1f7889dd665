"""A user's mistake leads to one clear message and the documented exit code, with and without ``--check``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CANNOT_BOOT = 78

GOOD = """\
[broker]
url = sqla+sqlite:///{folder}/broker.db
[consumer:video]
queue = video
callback = shop:handle
"""


SHOP = """\
handle = print
price = 3


def narrow(body): ...
async def later(body, message): ...
def lazy(body, message): yield
"""


def worker(folder: Path, ini: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.ini").write_text(ini.format(folder=folder))
    (folder / "shop.py").write_text(SHOP)
    return subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", "-c", "shop.ini", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


MISTAKES = {
    "unknown key": ("queue = video", "queu = video", ["shop.ini:4", "queu", "did you mean 'queue'"]),
    "unknown section": ("[consumer:video]", "[consumr:video]", ["shop.ini:3", "consumr", "did you mean"]),
    "bad duration": ("[broker]", "[broker]\nlease = soon", ["shop.ini:2", "lease", "soon", "30s"]),
    "missing module": ("shop:handle", "shoop:handle", ["shop.ini:5", "callback", "no module 'shoop'"]),
    "missing function": ("shop:handle", "shop:handel", ["shop.ini:5", "callback", "has no 'handel'"]),
    "not callable": ("shop:handle", "shop:price", ["shop.ini:5", "callback", "cannot be called"]),
    "too few arguments": ("shop:handle", "shop:narrow", ["shop.ini:5", "callback", "(body, message)"]),
    "a coroutine function": ("shop:handle", "shop:later", ["shop.ini:5", "callback", "async def", "plain function"]),
    "a generator function": ("shop:handle", "shop:lazy", ["shop.ini:5", "callback", "yield", "plain function"]),
    "no middleware": ("[broker]", "[worker]\nmiddleware = shop:price\n[broker]", ["shop.ini:2", "is no middleware"]),
    "beneath a regular file": ("/broker.db", "/shop.py/broker.db", ["shop.py", "not a folder"]),
    "unknown transport": ("sqla+sqlite", "sqlla+sqlite", ["shop.ini:2", "url", "did you mean 'sqla'"]),
    "unknown option": ("[broker]", "[broker]\nleese = 3s", ["shop.ini:2", "[broker] leese", "did you mean 'lease'"]),
    "a file that is not a database": ("broker.db", "shop.py", ["shop.py", "not a database"]),
    "unsupported argument": (
        "[broker]",
        "[queue:video]\nmax_length = 3\n[broker]",
        ["video", "x-max-length", "cannot honour"],
    ),
    "an exclusive consumer on a store": (
        "queue = video",
        "queue = video\nexclusive = yes",
        ["queue 'video'", "exclusive on AMQP only", "concurrency = 1"],
    ),
    "time limit and offload": (
        "queue = video",
        "queue = video\noffload = yes\ntime_limit = 3s",
        ["shop.ini:3", "time_limit", "thread"],
    ),
}


@pytest.mark.parametrize("mode", ["run", "check"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_clear_message_and_exit_code_78(tmp_path: Path, mistake: str, mode: str) -> None:
    right, wrong, words = MISTAKES[mistake]
    assert right in GOOD
    done = worker(tmp_path, GOOD.replace(right, wrong), *(["--check"] if mode == "check" else []))
    assert done.returncode == CANNOT_BOOT, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if all(word in line for word in words)]
    assert len(said) == 1, done.stderr


def test_all_detectable_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    ini = GOOD.replace("[broker]", "[broker]\nlease = soon").replace("queue = video", "queu = video")
    done = worker(tmp_path, ini)
    assert done.returncode == CANNOT_BOOT
    assert "lease" in done.stderr
    assert "queu" in done.stderr


def test_check_passes_for_a_correct_file(tmp_path: Path) -> None:
    done = worker(tmp_path, GOOD, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "callback = shop:handle" in done.stdout
    assert "at least once" in done.stdout


def test_a_missing_file_is_one_clear_message(tmp_path: Path) -> None:
    done = worker(tmp_path, GOOD, "-c", "nowhere.ini")
    assert done.returncode == CANNOT_BOOT
    assert "nowhere.ini" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_command_line_exits_with_2(tmp_path: Path) -> None:
    assert worker(tmp_path, GOOD, "--no-such-flag").returncode == 2


def test_a_process_of_another_protocol_version_cannot_boot(tmp_path: Path) -> None:
    """This happens when the package is upgraded before a rolling restart; the launcher then keeps its processes."""
    (tmp_path / "shop.ini").write_text(GOOD.format(folder=tmp_path))
    (tmp_path / "shop.py").write_text("handle = print\n")
    run = subprocess.run(
        [sys.executable, "-m", "kombu_green.child", "run", "-c", "shop.ini", "--protocol=0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == CANNOT_BOOT
    assert "restart kombu-worker" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("mode", ["run", "check"])
def test_a_gevent_that_cannot_be_imported_is_one_message_and_exit_code_78(tmp_path: Path, mode: str) -> None:
    (tmp_path / "shop.ini").write_text(GOOD.format(folder=tmp_path))
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken" / "gevent").mkdir(parents=True)
    (tmp_path / "broken" / "gevent" / "__init__.py").write_text("raise ImportError('libev is missing')\n")
    done = subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", "-c", "shop.ini", *(["--check"] if mode == "check" else [])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == CANNOT_BOOT, done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "gevent cannot be imported" in line]) == 1
    assert "libev is missing" in done.stderr
