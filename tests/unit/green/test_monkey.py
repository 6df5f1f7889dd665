"""Each case is a process of its own, since patches cannot be undone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(program: str) -> str:
    """What the program prints; it must end well and say nothing on stderr, warnings included."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


IMPORTS = """
from kombu_green.green.monkey import patch, require_patched
from kombu_green.exceptions import NotPatched
"""
REFUSED = """
try:
    require_patched()
except NotPatched as error:
    print(error)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A third party's module, to be written by the test and imported as ``third``."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    return tmp_path / "third.py"


def refusal(first: str) -> str:
    return run(f"{first}\n{IMPORTS}patch()\n{REFUSED}")


def test_require_accepts_a_patched_program_and_patching_twice_is_patching_once() -> None:
    program = """
        from kombu_green.green.monkey import patch, require_patched, early_imports
        patch()
        import socket
        patched = socket.socket
        patch()
        assert socket.socket is patched
        import ssl, amqp.transport, sqlalchemy, urllib.request
        require_patched()
        assert early_imports() == {}
        assert patched.__module__.startswith("gevent")
    """
    assert run(program) == ""


def test_the_module_imports_nothing_that_blocks_before_it_patches() -> None:
    program = """
        import sys
        before = set(sys.modules)
        import gevent.monkey
        by_gevent = set(sys.modules)
        import kombu_green.green.monkey
        late = {name for name in set(sys.modules) - by_gevent if not name.startswith("kombu_green")}
        print(sorted(late), "ssl" in sys.modules, "socket" in sys.modules)
        print(gevent.monkey.is_module_patched("socket"))
    """
    assert run(program).splitlines() == ["[] False False", "False"]


def test_not_patched_at_all() -> None:
    message = run(IMPORTS + REFUSED)
    assert message.startswith("the standard library is not patched by gevent: Start the program with kombu-worker")
    assert "monkey.patch_all()" in message


def test_half_patched_names_the_other_half_and_patch_completes_it() -> None:
    program = """
        from gevent import monkey
        monkey.patch_all(thread=False, subprocess=False)
        from kombu_green.green.monkey import require_patched, patch
        from kombu_green.exceptions import NotPatched
    """
    message = run(textwrap.dedent(program) + REFUSED)
    assert message.startswith("the standard library is patched without threading, subprocess: ")


def test_patches_by_another_program_are_accepted() -> None:
    program = """
        from gevent import monkey
        monkey.patch_all()
        from kombu_green.green.monkey import require_patched
        require_patched()
    """
    assert run(program) == ""


@pytest.mark.parametrize(
    ("source", "held"),
    [
        ("from socket import socket", "socket.socket"),
        ("import socket\nclass Mine(socket.socket): pass", "socket.socket"),
        ("from socket import getaddrinfo", "socket.getaddrinfo"),
        ("from time import sleep as pause", "time.sleep"),
        ("from threading import Lock", "threading.Lock"),
        ("import threading\nguard = threading.Lock()", "a native lock"),
        ("import threading\nguard = threading.RLock()", "a native lock"),
        ("import threading\nhere = threading.local()", "threading.local"),
        ("import queue\nwaiting = queue.SimpleQueue()", "queue.SimpleQueue"),
        ("from subprocess import Popen", "subprocess.Popen"),
        ("from select import select", "select.select"),
        ("from os import fork", "os.fork"),
    ],
)
def test_an_early_module_is_named_with_what_it_holds(module: Path, source: str, held: str) -> None:
    module.write_text(source)
    assert refusal("import third").startswith(
        f"imported before gevent patched the standard library: third (holds {held}). Start the program"
    )


def test_harmless_early_imports_are_not_reported(module: Path) -> None:
    module.write_text(
        "import socket, threading, time, queue, subprocess\nfrom threading import Thread, Event\n"
        "from subprocess import run\nclass Mine(Thread): pass\n"
    )
    assert refusal("import third") == ""


def test_proxies_are_not_touched(module: Path) -> None:
    module.write_text(
        "class Proxy:\n"
        "    def __getattribute__(self, name):\n"
        "        if armed: raise SystemExit(f'touched: {name}')\n"
        "        return super().__getattribute__(name)\n"
        "    def __eq__(self, other): raise SystemExit('compared')\n"
        "    __hash__ = None\n"
        "proxy, armed = Proxy(), False\n"
    )
    # gevent looks at every object there is while it patches
    assert run(f"import third\n{IMPORTS}patch()\nthird.armed = True\nrequire_patched()") == ""


def test_an_early_import_by_the_main_module_is_reported() -> None:
    assert "__main__ (holds time.sleep)" in refusal("from time import sleep")


def test_early_ssl_is_reported_with_its_importer(module: Path) -> None:
    module.write_text("import ssl")
    # gevent warns about ssl on its own account; the error is what counts here
    message = refusal("import warnings; warnings.simplefilter('ignore')\nimport third")
    assert "ssl (imported by third)" in message
    assert "ssl (with its sockets)" in refusal("import warnings; warnings.simplefilter('ignore')\nimport http.client")


def test_of_many_early_modules_some_are_named_and_the_rest_counted(module: Path) -> None:
    module.write_text("")
    for number in range(12):
        (module.parent / f"early{number:02}.py").write_text("from time import sleep")
    message = refusal("\n".join(f"import early{number:02}" for number in range(12)))
    assert "early09 (holds time.sleep) and 2 more. Start" in message
