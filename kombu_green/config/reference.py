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

One ini file describes a worker. ``kombu-worker -c FILE --check`` prints every setting with its origin. Unknown
sections, unknown keys and values that cannot be read are errors. All errors are reported at once, with file, line,
section and key.

Sections and values
-------------------

``[worker]``, ``[broker]`` and ``[logging]`` occur once. The other sections have a name, such as ``[queue:video]``.
A value may continue in indented lines. Comments are whole lines that start with ``#`` or ``;``. Within a value both
are ordinary characters, as is ``%``.

duration
    A number with a unit: ``500ms``, ``30s``, ``10m``, ``2h``, ``1d``. ``0`` needs no unit. At most ``366d``.
size
    Bytes, with a unit or without: ``65536``, ``64KiB``, ``64MiB``, ``1GiB``; ``kB``, ``MB`` and ``GB`` are powers
    of ten.
name
    A name with a blank, ``#`` or ``;`` is written in double quotes: ``queue = "my queue"``. Without them it is refused,
    as it may be a comment at the end of the line, which does not exist here.
yes or no
    ``yes``, ``true``, ``on``; ``no``, ``false``, ``off``.
list
    Separated by commas or line breaks, without duplicates.
arguments
    A whole number is passed on as an integer, ``yes``, ``no``, ``true`` and ``false`` as a boolean, anything else as
    text. In double quotes a value is always text: ``arguments.x-tag = "5"``.
relative paths
    In the ini file (``path``, the file of a SQLite database in ``url``, ``file:``) they are relative to the folder of
    the ini file; on the command line to the current folder.

``${NAME}`` in a value is replaced by the environment variable of that name; it is an error if the variable is not
set. ``${NAME:default}`` has a default. ``$${`` is a literal ``${``. A value that starts with ``file:`` is read from
that file, with surrounding white space removed, and is never shown: ``url = file:/run/secrets/broker``. Passwords in
URLs are masked wherever a URL is shown.

``--set section.key=value`` overrides the file. If a setting is given several times, the last one is used. The section
ends at the last dot before the ``=``, or before ``.arguments.``: ``--set queue:video.hd.arguments.x-max-length=5``.
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
