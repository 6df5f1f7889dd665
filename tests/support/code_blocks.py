"""The code blocks of a page, as a reader would use them.

A page is gone through from top to bottom, in one folder that is empty at first:

* A block with ``:caption: FILE`` is written to that file; with ``:caption: added to FILE`` it is appended. README has
  ``:name: FILE`` instead, as it is shown by programs that know docutils alone.
* ``.. code-block:: python`` without either is a program to be run; a block of ``text`` that follows it at once is
  what the program prints.
* In ``.. code-block:: console`` each line that starts with ``$`` is typed into a terminal, and what follows it is what
  the terminal shows then; see :mod:`tests.support.terminal`.
* Every other block is shown, not run.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Block", "Command", "blocks", "commands", "write"]

DIRECTIVE = re.compile(r"^(?P<indent> *)\.\. code-block::(?: (?P<language>\S+))? *$")
OPTION = re.compile(r"^ +:(?P<name>[a-z-]+):(?: +(?P<value>.*))?$")
ADDED: Final = "added to "


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    caption: str
    text: str
    printed: str | None = None  # what a program prints, where the page says it

    @property
    def is_program(self) -> bool:
        return self.language == "python" and not self.caption

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass
class Command:
    """What is typed into a terminal, and the lines that are shown then."""

    typed: str
    shown: list[str] = field(default_factory=list)


def blocks(page: Path) -> list[Block]:
    found = list(_blocks(page))
    for at, following in enumerate(found[1:]):
        if found[at].is_program and following.language == "text":
            found[at] = Block(**{**vars(found[at]), "printed": following.text})
    return found


def _blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        if found := DIRECTIVE.match(line):
            body = list(_indented(lines[number + 1 :], len(found["indent"])))
            options = _options(body)
            text = textwrap.dedent("\n".join(body[len(options) :])).strip("\n") + "\n"
            caption = options.get("caption") or options.get("name", "")
            yield Block(page, number + 1, found["language"] or "", caption, text)


def _indented(lines: list[str], indent: int) -> Iterator[str]:
    """The lines that are deeper than *indent*, with the empty ones between them."""
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            return
        yield line


def _options(body: list[str]) -> dict[str, str]:
    options = {}
    for line in body:
        found = OPTION.match(line)
        if not found:
            break
        options[found["name"]] = found["value"] or ""
    return options


def write(block: Block, folder: Path) -> None:
    """Write or append a block with a caption."""
    path = folder / block.caption.removeprefix(ADDED)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if block.caption.startswith(ADDED) else "w") as file:
        file.write(block.text)


def commands(block: Block) -> list[Command]:
    """The commands of a ``console`` block."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        else:
            assert found, f"{block}: {line!r} comes before any command"
            found[-1].shown.append(line)
    return found
