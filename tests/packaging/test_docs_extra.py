"""What the pages of the reference import is a dependency, or in the extra ``docs``."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def installed_with(extra: str) -> set[str]:
    """The distributions that ``pip install kombu_green[extra]`` installs, with all that these need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = set()
    todo = [Requirement(line) for line in (*project["dependencies"], f"kombu_green[{extra}]")]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name == canonicalize_name(project["name"]):
            lines: Iterable[str] = (
                line for one in requirement.extras for line in project["optional-dependencies"][one]
            )
        elif name in found:
            continue
        else:
            found.add(name)
            lines = distribution(name).requires or ()
        todo += [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_the_docs_extra_has_what_the_reference_imports() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs").rglob("*.rst"))
    described = re.findall(r"^\.\. automodule:: (\S+)$", pages, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *described], cwd=ROOT, capture_output=True, text=True, check=True
    )
    by_package = packages_distributions()
    needed = {canonicalize_name(name) for package in done.stdout.split() for name in by_package.get(package, ())[:1]}
    assert needed >= {"gevent", "sqlalchemy", "pytest"}
    assert needed - installed_with("docs") <= {"pip", "setuptools", "kombu-green"}
