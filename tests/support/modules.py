"""The package's modules, found by their files: what is looked at must not be imported to be found."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), self.path)

    def within(self, *packages: str) -> bool:
        """Whether it is one of *packages* (named without ``kombu_green.``), or in one."""
        return any(f"{self.name}.".startswith(f"kombu_green.{package}.") for package in packages)

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every name that an import statement asks for, wherever it stands, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module or "", node.lineno


def find() -> list[Module]:
    found = []
    for path in sorted((ROOT / "kombu_green").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


MODULES = find()
