"""The wheel: kombu_green alone, whole, and at work outside the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import kombu_green

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network from a copy: a build in the checkout would leave folders that the next one picks up."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    generated = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "var", "_build", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=generated)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--wheel-dir", str(folder)]
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_it_holds_kombu_green_alone(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel)} == {
        "kombu_green",
        f"kombu_green-{kombu_green.__version__}.dist-info",
    }


def test_it_holds_every_module_and_the_mark_that_it_is_typed(wheel: Path) -> None:
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "kombu_green").rglob("*.py")}
    assert {name for name in names(wheel) if name.endswith(".py")} == here
    assert "kombu_green/py.typed" in names(wheel)


def test_its_metadata(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Name"] == "kombu_green"
    assert found["Version"] == kombu_green.__version__
    assert found["License-Expression"] == "BSD-3-Clause"
    assert found["Requires-Python"] == ">=3.11"
    needed = found.get_all("Requires-Dist") or []
    core = {requirement.split(">")[0] for requirement in needed if "extra ==" not in requirement}
    assert core == {"gevent", "amqp", "iniconfig", "orjson"}
    assert set(found.get_all("Provides-Extra") or []) == {
        *("sqlalchemy", "yaml", "msgpack"),
        *("media", "progress", "demo", "test", "bench", "docs"),
    }, "an extra of a transport that does not exist would promise it"


def run_installed(installed: Path, folder: Path, *command: str | Path) -> str:
    """What *command* prints, run elsewhere with the installed copy before the checkout that the environment names."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_it_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = "import kombu_green, kombu_green.url; print(kombu_green.url.__file__)"
    assert run_installed(installed, tmp_path, "-c", program) == str(installed / "kombu_green" / "url.py")


def test_its_command_is_kombu_worker(installed: Path, tmp_path: Path) -> None:
    script = installed / "bin" / "kombu-worker"
    version = f"kombu-worker {kombu_green.__version__}"
    assert run_installed(installed, tmp_path, script, "--version") == version
    assert run_installed(installed, tmp_path, "-m", "kombu_green.cli", "--version") == version
