"""Importing a module opens nothing, starts nothing and patches nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modules import MODULES

SCRIPT = Path(__file__).parents[1] / "support" / "programs" / "import_alone.py"
LIBRARIES = ("gevent", "sqlalchemy", "pytest")
NAMES = [module.name for module in MODULES if not module.name.endswith("__main__")]


def import_alone(names: list[str], libraries: tuple[str, ...] = (), **more: str) -> dict[str, list[str]]:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), *libraries],
        input="\n".join(names),
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in run.stdout.splitlines())


def test_importing_any_module_does_nothing_else() -> None:
    found = import_alone(NAMES, LIBRARIES)
    assert set(found) == {"libraries", *NAMES}
    assert {name: complaints for name, complaints in found.items() if complaints} == {}


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("import socket; socket.socket().close()", "opens a socket"),
        ("import threading; threading.Thread(target=int).start()", "starts a thread"),
        ("import gevent; kept = gevent.spawn(int)", "starts a greenlet"),
        ("import gevent; gevent.get_hub()", "makes a hub"),
        ("import gevent.monkey; gevent.monkey.patch_time()", "patches time"),
        ("import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "takes a signal"),
        ("open(__file__ + '.txt', 'w').close()", "writes "),
        ("import warnings; warnings.warn('old', DeprecationWarning)", "cannot be imported: DeprecationWarning"),
        ("raise SystemExit", "cannot be imported: SystemExit"),
        ("import os; os._exit(3)", "ended with status"),
    ],
)
def test_it_would_be_noticed(tmp_path: Path, program: str, complaint: str) -> None:
    (tmp_path / "busy.py").write_text(program)
    complaints = import_alone(["busy"], PYTHONPATH=str(tmp_path))["busy"]
    assert any(found.startswith(complaint) for found in complaints), complaints
