"""What CI counts as failure: a skipped test and a missing server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = {
    "test_skips_while_it_runs.py": "import pytest\ndef test_it():\n    pytest.skip('server one')\n",
    "test_skips_by_a_mark.py": "import pytest\n@pytest.mark.skipif(1, reason='server two')\ndef test_it():\n    1/0\n",
    "test_skips_as_a_whole.py": "import pytest\npytest.importorskip('no_server', reason='server three')\n",
    "test_fails_as_expected.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    1/0\n",
    "test_passes.py": "def test_it():\n    pass\n",
}
SKIPS = ("server one", "server two", "server three")


def environment(ci: bool) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "CI"}
    return {**inherited, "CI": "true"} if ci else inherited


def run_pytest(folder: Path, *, ci: bool) -> tuple[int, str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, test in TESTS.items():
        (folder / name).write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "--continue-on-collection-errors", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment(ci),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_skip_is_a_failure_in_ci_and_says_why(tmp_path: Path) -> None:
    code, out = run_pytest(tmp_path, ci=True)
    assert code == 1
    for reason in SKIPS:
        assert re.search(f"skipped, which counts as failed in CI: .*{reason}", out)
    assert "= 1 failed, 1 passed, 1 xfailed, 2 errors in" in out


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    code, out = run_pytest(tmp_path, ci=False)
    assert code == 0
    assert "= 1 passed, 3 skipped, 1 xfailed in" in out


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
