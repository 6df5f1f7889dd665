"""What CI counts as failure: a skipped test and a missing server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SKIPPED_WHILE_RUNNING = "import pytest\ndef test_it():\n    pytest.skip('no server')\n"
SKIPPED_BY_A_MARK = "import pytest\n@pytest.mark.skipif(True, reason='no server')\ndef test_it():\n    pass\n"
SKIPPED_AS_A_WHOLE = "import pytest\npytest.importorskip('no_server', reason='no server')\ndef test_it():\n    pass\n"
FAILS_AS_EXPECTED = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n"


def environment(ci: bool) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "CI"}
    return {**inherited, "CI": "true"} if ci else inherited


def run_pytest(folder: Path, test: str, *, ci: bool) -> tuple[int, str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(test)
    (folder / "test_another.py").write_text("def test_another():\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment(ci),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("test", [SKIPPED_WHILE_RUNNING, SKIPPED_BY_A_MARK, SKIPPED_AS_A_WHOLE])
def test_a_skip_fails_in_ci_alone_and_says_why(tmp_path: Path, test: str) -> None:
    code, out = run_pytest(tmp_path, test, ci=True)
    assert code != 0
    assert "counts as failed in CI" in out
    assert "no server" in out

    code, out = run_pytest(tmp_path, test, ci=False)
    assert code == 0
    assert "1 skipped" in out


def test_an_expected_failure_is_none(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, FAILS_AS_EXPECTED, ci=True)[0] == 0


def get_servers(folder: Path, servers: str, *, ci: bool) -> tuple[int, str]:
    """``tests/get-servers`` on a machine without apt: PATH holds what the script itself needs."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("bash", "id", "env", "sh"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    (folder / "servers.txt").write_text(servers)
    done = subprocess.run(
        ["bash", ROOT / "tests" / "get-servers", folder / "servers.txt"],
        env={**({"CI": "true"} if ci else {}), "PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("ci", "code"), [(True, 1), (False, 0)])
def test_a_missing_server_is_named_and_fails_in_ci(tmp_path: Path, ci: bool, code: int) -> None:
    servers = "# a comment\n\nno-such-server  no-such-program\nbash  sh\n"
    assert get_servers(tmp_path, servers, ci=ci) == (
        code,
        "bin/test: missing, so their tests cannot run: apt-get install no-such-server\n",
    )


def test_nothing_is_said_when_every_server_is_here(tmp_path: Path) -> None:
    assert get_servers(tmp_path, "bash  sh\n", ci=True) == (0, "")


def test_ci_runs_the_same_command() -> None:
    assert "exec bin/test\n" in (ROOT / ".ci" / "run").read_text()
