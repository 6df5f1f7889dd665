"""The code blocks of a page, as a reader would use them.

* A block with ``:caption: FILE`` is written to that file (a second one for the same file is added at its end).
* ``.. code-block:: python`` without a caption is a program to be run; a block of ``text`` that follows it at once is
  what the program prints.
* Every other block is shown, not run.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

DIRECTIVE = re.compile(r"^(?P<indent> *)\.\. code-block::(?: (?P<language>\S+))? *$")
OPTION = re.compile(r"^ +:(?P<name>[a-z-]+):(?: +(?P<value>.*))?$")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    caption: str
    text: str

    @property
    def is_program(self) -> bool:
        return self.language == "python" and not self.caption

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        if found := DIRECTIVE.match(line):
            body = list(_indented(lines[number + 1 :], len(found["indent"])))
            options = _options(body)
            text = textwrap.dedent("\n".join(body[len(options) :])).strip("\n") + "\n"
            yield Block(page, number + 1, found["language"] or "", options.get("caption", ""), text)


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


def programs(page: Path) -> Iterator[tuple[Block, str | None]]:
    """The programs of *page*, and what each is said to print."""
    found = list(blocks(page))
    for block, following in zip_longest(found, found[1:]):
        if block.is_program:
            yield block, following.text if following and following.language == "text" else None


def lay_out(page: Path, folder: Path) -> None:
    """Write the captioned blocks of *page* into *folder*."""
    for block in blocks(page):
        if block.caption:
            path = folder / block.caption
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(block.text)
