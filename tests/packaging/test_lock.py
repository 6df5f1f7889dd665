"""``requirements.lock``: pinned, hashed, free of registries, and in step with ``pyproject.toml``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
LINES = [line for line in LOCK.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
LOCKED_EXTRAS = re.findall(r"--extra (\w+)", (ROOT / "bin" / "lock").read_text())


def pins() -> dict[str, str]:
    found = (re.match(r"([\w.-]+)==(\S+) ", line) for line in LINES)
    return {canonicalize_name(pin[1]): pin[2] for pin in found if pin}


def asked_for() -> list[Requirement]:
    """What the package needs, and what its locked extras need, with the extras that those name in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    open_, found = [*project["dependencies"], f"{project['name']}[{','.join(LOCKED_EXTRAS)}]"], []
    while open_:
        requirement = Requirement(open_.pop())
        if requirement.name == project["name"]:
            open_.extend(line for extra in requirement.extras for line in extras[extra])
        else:
            found.append(requirement)
    return sorted(found, key=str)


def test_every_line_is_a_pin_with_hashes() -> None:
    assert len(pins()) == len(LINES)
    assert [line for line in LINES if "--hash=sha256:" not in line] == []


def test_it_names_no_registry() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK


@pytest.mark.parametrize("requirement", asked_for(), ids=str)
def test_it_has_what_pyproject_asks_for(requirement: Requirement) -> None:
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin, f"{requirement.name} is not in requirements.lock: run bin/lock"
    assert requirement.specifier.contains(pin, prereleases=True), f"{pin} is locked: run bin/lock"
