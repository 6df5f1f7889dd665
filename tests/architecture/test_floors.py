"""The floors of ``.importlinter`` hold, and an import that goes uphill would be refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modules import ROOT

LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def lint(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "kombu_green", tmp_path / "kombu_green", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_floors_hold() -> None:
    code, out = lint(ROOT)
    assert code == 0, out


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("clock", "message"),
        ("storage/contract", "transport.contract"),
        ("dispatch/outcome", "message"),
        ("ipc/messages", "dispatch.outcome"),
        ("launcher/__init__", "green"),
        ("cli/__init__", "child"),
        ("worker/__init__", "launcher"),
        ("clock", "service"),
        ("transport/amqp/protocol/frames", "transport.amqp.socket.waiters"),
        ("transport/amqp/socket/inbox", "transport.amqp.channel.delivery"),
        ("transport/amqp/delay_ladder", "transport.amqp.channel.declarations"),
    ],
)
def test_an_import_that_goes_uphill_is_refused(copy: Path, importer: str, imported: str) -> None:
    with (copy / "kombu_green" / f"{importer}.py").open("a") as source:
        source.write(f"\nimport kombu_green.{imported}\n")
    code, out = lint(copy)
    assert code == 1, out
    assert f".{imported}" in out


@pytest.mark.parametrize("imported", ["gevent", "socket"])
def test_gevent_and_sockets_are_refused_in_the_amqp_protocol(copy: Path, imported: str) -> None:
    with (copy / "kombu_green" / "transport" / "amqp" / "protocol" / "parser.py").open("a") as source:
        source.write(f"\nimport {imported}\n")
    code, out = lint(copy)
    assert code == 1, out
    assert f"kombu_green.transport.amqp.protocol.parser -> {imported}" in out


def test_a_module_that_is_on_no_floor_is_refused(copy: Path) -> None:
    (copy / "kombu_green" / "utils.py").write_text("")
    code, out = lint(copy)
    assert code != 0
    assert "utils" in out
