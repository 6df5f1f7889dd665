"""The reference page of the settings, generated from their declarations.

``python -m kombu_green.config.reference > docs/reference/settings.rst`` writes it; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kombu_green.config.declaration import Declaration, declarations
from kombu_green.config.loader import NAMED, SINGLE

__all__ = ["render"]

_INTRODUCTION: Final = """\
Settings
========

.. Written by kombu_green/config/reference.py from kombu_green/config/settings.py: change those.

One ini file describes a worker; ``kombu-worker -c FILE --check`` prints every setting with the place it came
from. What is not written in the file has its default. A key or section that does not exist is an error, as is a
value that cannot be read; all of them are reported at once, with file, line, section and key.

Sections and values
-------------------

``[worker]``, ``[broker]`` and ``[logging]`` are there once; of the others there is one for each name, such as
``[queue:video]``. A value may go on in indented lines. Comments are whole lines that start with ``#`` or ``;``:
within a value both are ordinary characters, as is ``%``.

duration
    A number with a unit: ``500ms``, ``30s``, ``10m``, ``2h``, ``1d``. Only ``0`` needs none. At most ``366d``.
size
    Bytes, with a unit or without: ``65536``, ``64KiB``, ``64MiB``, ``1GiB``; ``kB``, ``MB`` and ``GB`` are powers
    of ten.
yes or no
    ``yes``, ``true``, ``on``; ``no``, ``false``, ``off``.
list
    Separated by commas or lines. Nothing may be in it twice.
arguments
    A whole number, or ``yes``, ``no``, ``true``, ``false``, is passed on as what it looks like, all else as text.
    In double quotes it is always text: ``arguments.x-tag = "5"``.
relative paths
    In the file (``path``, the file of a SQLite database in ``url``, ``file:``) they start from the file's own
    folder; on the command line from the current one.

``${NAME}`` anywhere in a value is the environment variable of that name, and an error when it is not set;
``${NAME:default}`` has a default; ``$${`` is a plain ``${``. A value that starts with ``file:`` is read from that
file, without the blanks around it, and never shown: ``url = file:/run/secrets/broker``. Passwords in URLs are
masked wherever a URL is shown.

``--set section.key=value`` counts more than the file, and the last one of several counts. The section ends at the
last dot before the ``=``, or where ``.arguments.`` stands: ``--set queue:video.hd.arguments.x-max-length=5``.
"""


def render() -> str:
    """The whole page, as reStructuredText."""
    parts = [_INTRODUCTION]
    for name, cls in [*SINGLE.items(), *((f"{kind}:NAME", cls) for kind, cls in NAMED.items())]:
        parts.append("\n".join(_section(f"``[{name}]``", cls)) + "\n")
    return "\n".join(parts)


def _section(title: str, cls: type) -> Iterator[str]:
    yield title
    yield "-" * len(title)
    yield ""
    summary = (cls.__doc__ or "").partition(": ")[2].split("\n\n")[0]
    yield summary[:1].upper() + summary[1:]
    yield ""
    yield from [".. list-table::", "   :header-rows: 1", "   :widths: 18 22 14 46", ""]
    yield from _row("key", "kind", "default", "meaning")
    for setting in declarations(cls):
        key = setting.key if not setting.is_open else f"{setting.prefix}…"
        yield from _row(f"``{key}``", setting.kind.name, _default(setting), setting.sentence)


def _row(*cells: str) -> Iterator[str]:
    for index, cell in enumerate(cells):
        yield f"   {'*' if index == 0 else ' '} - {cell}".rstrip()


def _default(setting: Declaration) -> str:
    if setting.required:
        return "required"
    if setting.default in (None, (), {}) or isinstance(setting.default, Path):
        return "–"
    return f"``{setting.kind.show(setting.default)}``"


if __name__ == "__main__":
    sys.stdout.write(render())
