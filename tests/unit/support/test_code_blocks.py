"""How the examples are found in a page."""

from __future__ import annotations

from pathlib import Path

from tests.support.code_blocks import Command, blocks, commands, write

PAGE = """\
Title
=====

.. code-block:: ini
   :caption: conf/a.ini

   [broker]
   url = memory://

Text, and a list:

* one

  .. code-block:: python

     if True:

         print("one")

  more of it

::

    shown

.. code-block:: ini
   :caption: added to conf/a.ini
   :name: more

   [worker]

.. code-block:: console

   $ ls conf
   a.ini
   $ true

.. code-block:: python
   :name: b.py

   pass
"""


def page(folder: Path, more: str = "") -> Path:
    path = folder / "page.rst"
    path.write_text(PAGE + more)
    return path


def test_blocks_are_found_with_language_caption_and_line(tmp_path: Path) -> None:
    found = blocks(page(tmp_path))
    assert [(str(block), block.language, block.caption) for block in found] == [
        ("page.rst:4", "ini", "conf/a.ini"),
        ("page.rst:14", "python", ""),
        ("page.rst:26", "ini", "added to conf/a.ini"),
        ("page.rst:32", "console", ""),
        ("page.rst:38", "python", "b.py"),
    ]
    assert [block.text for block in found if block.is_program] == ['if True:\n\n    print("one")\n']


def test_a_program_s_output_follows_it(tmp_path: Path) -> None:
    path = page(tmp_path, "\n.. code-block:: python\n\n   print(2)\n\n.. code-block:: text\n\n   2\n")
    assert [(str(block), block.printed) for block in blocks(path) if block.is_program] == [
        ("page.rst:14", None),
        ("page.rst:43", "2\n"),
    ]


def test_captioned_blocks_become_files(tmp_path: Path) -> None:
    folder = tmp_path / "laid out"
    first, _, second, *_ = blocks(page(tmp_path))
    write(first, folder)
    write(second, folder)
    assert (folder / "conf/a.ini").read_text() == "[broker]\nurl = memory://\n[worker]\n"
    write(first, folder)
    assert (folder / "conf/a.ini").read_text() == "[broker]\nurl = memory://\n"


def test_commands_are_followed_by_what_the_terminal_shows(tmp_path: Path) -> None:
    *_, console, _ = blocks(page(tmp_path))
    assert commands(console) == [Command("ls conf", ["a.ini"]), Command("true", [])]
