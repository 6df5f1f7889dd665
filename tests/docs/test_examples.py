"""How the examples are found in a page."""

from __future__ import annotations

from pathlib import Path

from tests.docs.examples import blocks, lay_out, programs

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
   :caption: conf/a.ini
   :name: more

   [worker]
"""


def page(folder: Path) -> Path:
    path = folder / "page.rst"
    path.write_text(PAGE)
    return path


def test_blocks_are_found_with_language_caption_and_line(tmp_path: Path) -> None:
    found = list(blocks(page(tmp_path)))
    assert [(str(block), block.language, block.caption) for block in found] == [
        ("page.rst:4", "ini", "conf/a.ini"),
        ("page.rst:14", "python", ""),
        ("page.rst:26", "ini", "conf/a.ini"),
    ]
    assert [block.text for block in found if block.is_program] == ['if True:\n\n    print("one")\n']


def test_a_program_s_output_follows_it(tmp_path: Path) -> None:
    path = page(tmp_path)
    path.write_text(PAGE + "\n.. code-block:: python\n\n   print(2)\n\n.. code-block:: text\n\n   2\n")
    assert [(str(block), printed) for block, printed in programs(path)] == [
        ("page.rst:14", None),
        ("page.rst:32", "2\n"),
    ]


def test_captioned_blocks_become_files(tmp_path: Path) -> None:
    lay_out(page(tmp_path), tmp_path / "laid out")
    assert (tmp_path / "laid out/conf/a.ini").read_text() == "[broker]\nurl = memory://\n[worker]\n"
