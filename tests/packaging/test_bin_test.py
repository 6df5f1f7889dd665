"""``bin/test`` in a folder of its own, where the tools only write down how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TOOL = """\
#!/bin/sh
printf '%s %s\\n' "$(basename "$0")" "$*" >>calls
case "$*" in *"$FAILS"*) echo "found something"; exit 1 ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("bin/setup", "tests/get-servers", ".venv/bin/python", ".venv/bin/lint-imports"):
        tool = tmp_path / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(TOOL)
        tool.chmod(0o755)
    shutil.copy(ROOT / "bin" / "test", tmp_path / "bin" / "test")
    return tmp_path


def run(checkout: Path, *arguments: str, fails: str = "nothing", ci: bool = False) -> tuple[int, str, list[str]]:
    """Exit code, everything that was said, and the calls of tools."""
    done = subprocess.run(
        ["bash", str(checkout / "bin" / "test"), *arguments],
        env={"PATH": os.environ["PATH"], "FAILS": fails, **({"CI": "true"} if ci else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, (checkout / "calls").read_text().splitlines()


def test_all_checks_are_followed_by_all_tests(checkout: Path) -> None:
    code, said, calls = run(checkout)
    assert code == 0
    assert [line.split()[1] for line in said.splitlines()] == ["lint", "format", "types", "floors", "docs", "tests"]
    assert calls[:2] == ["setup ", "get-servers tests/servers.txt"]
    assert sorted(call.split()[2] for call in calls[2:-1] if call.startswith("python")) == [
        "mypy",
        "ruff",
        "ruff",
        "sphinx",
    ]
    assert calls[-1] == "python -m pytest -n auto --dist worksteal"


def test_fast_leaves_out_the_docs_and_all_but_the_unit_and_architecture_tests(checkout: Path) -> None:
    code, said, calls = run(checkout, "--fast")
    assert code == 0
    assert [line.split()[1] for line in said.splitlines()] == ["lint", "format", "types", "floors", "tests"]
    assert calls[-1] == "python -m pytest -n auto --dist worksteal tests/unit tests/architecture"
    assert not [call for call in calls if "sphinx" in call or "get-servers" in call]


def test_fast_takes_no_other_arguments(checkout: Path) -> None:
    code, said, calls = run(checkout, "--fast", "-x")
    assert code == 2
    assert said == "bin/test: --fast takes no other arguments\n"
    assert calls == ["setup "]


@pytest.mark.parametrize(("fails", "named"), [("mypy", "types"), ("ruff", "lint format")])
def test_a_check_that_fails_is_shown_and_fails_the_run_after_the_tests(checkout: Path, fails: str, named: str) -> None:
    code, said, calls = run(checkout, fails=fails)
    assert code == 1
    assert "found something\n" in said
    assert said.endswith(f"bin/test: failed beside the tests: {named}\n")
    assert "pytest" in calls[-1]


def test_the_exit_code_is_that_of_the_tests(checkout: Path) -> None:
    assert run(checkout, fails="pytest")[0] == 1


def test_ci_lists_the_slowest_tests(checkout: Path) -> None:
    assert run(checkout, ci=True)[2][-1] == "python -m pytest -n auto --dist worksteal --durations=20"


def test_arguments_are_those_of_pytest_alone(checkout: Path) -> None:
    assert run(checkout, "tests/unit", "-x")[2] == ["setup ", "python -m pytest tests/unit -x"]
