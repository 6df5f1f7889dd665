"""Draws docs/architecture.svg from the package's imports: ``.venv/bin/python docs/drawing/imports.py``.

Each box is a part of the package, on its floor; an arrow says that one part imports another.  An arrow that a longer
way of arrows implies is left out.  With ``-`` it is written to standard
output; ``tests/docs/test_architecture.py`` compares that with the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from grimp import ImportGraph, build_graph

PACKAGE: Final = "kombu_green"
PICTURE: Final = Path(__file__).parents[1] / "architecture.svg"

#: the floors from the top; of each the parts from left to right, and the modules below the package that are in each
FLOORS: Final[tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...]] = (
    (
        "5 entry points",
        {
            "cli": ("cli",),
            "child": ("child",),
            "dead_letters": ("dead_letters",),
            "testing": ("testing",),
        },
    ),
    ("4 runtime", {"launcher": ("launcher",), "worker": ("worker",)}),
    (
        "3 vocabulary",
        {
            "connection, pools": ("connection", "pools", "simple", "resource"),
            "messaging": ("messaging",),
            "republish": ("republish",),
        },
    ),
    (
        "2 brokers, gevent",
        {
            "transport.virtual": ("transport.virtual", "transport.memory", "transport.sqlalchemy"),
            "transport.amqp": ("transport.amqp",),
            "transport": ("transport.contract", "transport.schemes", "transport"),
            "storage": ("storage",),
            "green": ("green",),
        },
    ),
    (
        "1 pure",
        {
            "config": ("config",),
            "ipc": ("ipc",),
            "dispatch": ("dispatch",),
            "messages": (
                *("entity", "message", "routing", "serialization", "compression", "channel", "extended_json", "plain"),
                *("declarations", "capabilities"),
            ),
        },
    ),
    (
        "0 foundations",
        {
            "foundations": (
                *("exceptions", "exit_codes", "clock", "retry", "url", "plugins", "printable", "service"),
                "suggestions",
            )
        },
    ),
)

WIDTH: Final = 1000
LABEL: Final = 150
BOX: Final = (140, 44)
ROW: Final = 110


class Box(NamedTuple):
    name: str
    x: int
    y: int
    modules: int


def part_of(module: str) -> str | None:
    """The part that *module* belongs to: the one that names it, or its nearest package."""
    name = module.removeprefix(f"{PACKAGE}.")
    parts = {member: part for _, floor in FLOORS for part, members in floor.items() for member in members}
    while name not in parts and "." in name:
        name = name.rpartition(".")[0]
    return parts.get(name)


def arrows(graph: ImportGraph) -> set[tuple[str, str]]:
    """Which part imports which, without what longer ways imply."""
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        importer = part_of(module)
        if importer is not None:
            imported = {part_of(one) for one in graph.find_modules_directly_imported_by(module)}
            found.setdefault(importer, set()).update(one for one in imported if one not in (None, importer))
    return {(a, b) for a in found for b in found[a] if not any(b in _below(found, c) for c in found[a] - {b})}


def _below(found: Mapping[str, set[str]], part: str) -> set[str]:
    """All that *part* stands on."""
    seen: set[str] = set()
    todo = [part]
    while todo:
        for one in found.get(todo.pop(), set()) - seen:
            seen.add(one)
            todo.append(one)
    return seen


def boxes(graph: ImportGraph) -> dict[str, Box]:
    found = {}
    for row, (_, floor) in enumerate(FLOORS):
        room = (WIDTH - LABEL) // len(floor)
        for column, part in enumerate(floor):
            count = sum(part_of(module) == part for module in graph.modules)
            x = LABEL + room * column + (room - BOX[0]) // 2
            found[part] = Box(part, x, 20 + row * ROW, count)
    return found


def svg(graph: ImportGraph) -> str:
    placed = boxes(graph)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {20 + len(FLOORS) * ROW}"'
        ' font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#557"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{20 + len(FLOORS) * ROW}" fill="#fff"/>',
        *_rows(),
        *(_arrow(placed[a], placed[b]) for a, b in sorted(arrows(graph))),
        *(part for box in placed.values() for part in _box(box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _rows() -> Iterator[str]:
    for row, (name, _) in enumerate(FLOORS):
        y = 10 + row * ROW
        yield f'<rect x="5" y="{y}" width="{WIDTH - 10}" height="{BOX[1] + 20}" rx="6" fill="#f2f4f8"/>'
        yield f'<text x="15" y="{y + BOX[1] // 2 + 15}" fill="#334">{escape(name)}</text>'


def _box(box: Box) -> Iterator[str]:
    width, height = BOX
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{width}" height="{height}" rx="4" fill="#fff" stroke="#557"'
        ' stroke-width="1.2"/>'
    )
    middle = box.x + width // 2
    yield f'<text x="{middle}" y="{box.y + 19}" text-anchor="middle" font-weight="bold">{escape(box.name)}</text>'
    words = "1 module" if box.modules == 1 else f"{box.modules} modules"
    yield f'<text x="{middle}" y="{box.y + 36}" text-anchor="middle" fill="#556" font-size="11">{words}</text>'


def _arrow(start: Box, end: Box) -> str:
    width, height = BOX
    if start.y == end.y:  # on one floor: from side to side
        left = start.x > end.x
        x1, x2 = (start.x, end.x + width) if left else (start.x + width, end.x)
        y1 = y2 = start.y + height // 2
        if abs(x1 - x2) > width:  # around what stands between the two
            bend = (x1 + x2) // 2
            x1, x2, y1, y2 = start.x + width // 2, end.x + width // 2, start.y + height, end.y + height
            return _path(f"M{x1} {y1} Q{bend} {y1 + 46} {x2} {y2}")
    else:
        x1, y1, x2, y2 = start.x + width // 2, start.y + height, end.x + width // 2, end.y
    return _path(f"M{x1} {y1} L{x2} {y2}")


def _path(course: str) -> str:
    return f'<path d="{course}" fill="none" stroke="#557" stroke-width="1.2" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    picture = svg(build_graph(PACKAGE))
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(picture)
    else:
        PICTURE.write_text(picture)
