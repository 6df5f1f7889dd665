"""The parent never has gevent or a driver; the child patches before anything that must be patched is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from kombu_green.connection import Connection

PARENT = """
import json, sys
before = set(sys.modules)
from kombu_green.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(set(sys.modules) - before)]))
"""

CHILD = """
import json, runpy, sys
from gevent import monkey  # as the child's own first statement does

def patch_all(*args, **kwargs):
    print(json.dumps(sorted(sys.modules)))
    sys.exit()

monkey.patch_all = patch_all
runpy.run_module("kombu_green.child", run_name="__main__")
"""


CALLBACK = """
import os, signal

def handle(body, message):
    os.kill(os.getppid(), signal.SIGTERM)
"""


def run(program: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-P", "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()[-1]


def check_parent(modules: list[str]) -> None:
    tops = {module.split(".")[0] for module in modules}
    assert tops - sys.stdlib_module_names == {"kombu_green", "iniconfig"}
    assert "ssl" not in tops
    floors = {".".join(module.split(".")[:2]) for module in modules if module.startswith("kombu_green.")}
    assert floors >= {"kombu_green.cli", "kombu_green.launcher", "kombu_green.config", "kombu_green.ipc"}
    assert floors <= {
        *("kombu_green.cli", "kombu_green.launcher", "kombu_green.config", "kombu_green.ipc"),
        *(
            "kombu_green.exceptions",
            "kombu_green.exit_codes",
            "kombu_green.clock",
            "kombu_green.retry",
            "kombu_green.url",
        ),
        *("kombu_green.plugins", "kombu_green.printable", "kombu_green.service", "kombu_green.suggestions"),
    }


def test_the_parent_of_a_child_that_cannot_boot_has_neither_gevent_nor_a_driver(tmp_path: Path) -> None:
    ini = tmp_path / "worker.ini"
    ini.write_text("[broker]\nurl = memory://\n[consumer:a]\nqueue = a\ncallback = no_such_module:handle\n")
    code, modules = json.loads(run(PARENT, "-c", ini))
    assert code == 78
    check_parent(modules)


def test_nor_has_the_parent_of_one_that_worked(tmp_path: Path) -> None:
    """The callback asks the parent to stop, so the child was ready, handled a message and drained."""
    url = f"sqla+sqlite:///{tmp_path / 'queue.db'}"
    with Connection(url) as connection:
        connection.SimpleQueue("a").put({"for": "the callback"})
    (tmp_path / "application.py").write_text(CALLBACK)
    ini = tmp_path / "worker.ini"
    ini.write_text(
        f"[worker]\npath = .\n[broker]\nurl = {url}\n[consumer:a]\nqueue = a\ncallback = application:handle\n"
    )
    code, modules = json.loads(run(PARENT, "-c", ini))
    assert code == 0
    check_parent(modules)


def test_the_child_patches_first() -> None:
    modules = set(json.loads(run(CHILD)))
    assert not modules & {"ssl", "_ssl", "socket", "_socket", "select", "selectors", "queue", "subprocess", "asyncio"}
    assert {module for module in modules if module.startswith("kombu_green.")} == {
        *("kombu_green.child", "kombu_green.exceptions"),
        *("kombu_green.green", "kombu_green.green.locks", "kombu_green.green.monkey"),
    }
