"""The file as text: its sections and lines, and everything that is no ini syntax at once."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.ini import read_file
from kombu_green.config.problems import ConfigError


def problems(file: Path, text: str | bytes) -> list[str]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_file(file)
    return str(caught.value).replace(f"{file}", "F").splitlines()


def test_sections_values_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "w.ini"
    file.write_text(
        "\ufeff# comment\n[broker]\n; comment\nurl = a#b;c%40\nlong = x,\n  # not this\n  y\n\n[ queue:a ] # so\n"
    )
    sections = read_file(file)
    assert {name: {k: v.text for k, v in s.values.items()} for name, s in sections.items()} == {
        "broker": {"url": "a#b;c%40", "long": "x,\ny"},
        "queue:a": {},
    }
    assert sections["broker"].where == f"{file}:2"
    assert sections["broker"].values["url"].where == f"{file}:4"
    assert sections["broker"].values["long"].where == f"{file}:5"
    assert sections["queue:a"].where == f"{file}:9"
    assert sections["broker"].values["url"].folder == tmp_path


def test_all_syntax_errors_at_once(tmp_path: Path) -> None:
    text = "x = 1\n[a]\nnonsense\nk = 1\nk = 2\n[a]\n  hanging\n[b\nk = 1\n[]\n[a]\n[a]\nlast\n"
    assert problems(tmp_path / "w.ini", text) == [
        "F:1: stands before the first [section]",
        "F:3: is neither [section] nor key = value",
        "F:5: duplicate name 'k'",
        "F:6: duplicate section 'a'",
        "F:7: is indented, but there is no value before it to go on",
        "F:8: is no section: write [name], without '[', ']', '#' and ';' in the name",
        "F:10: is no section: write [name], without '[', ']', '#' and ';' in the name",
        "F:11: duplicate section 'a'",
        "F:12: duplicate section 'a'",
        "F:13: is neither [section] nor key = value",
    ]


def test_a_line_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    assert "secret" not in "".join(problems(tmp_path / "w.ini", "[broker]\namqp secret\n"))


def test_a_half_open_section_is_no_part_of_the_value_before(tmp_path: Path) -> None:
    assert len(problems(tmp_path / "w.ini", "[broker]\nurl = x\n[queue:a\n")) == 1


def test_problems_are_bounded(tmp_path: Path) -> None:
    assert len(problems(tmp_path / "w.ini", "nonsense\n" * 10_000)) == 50


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[a]\nk = 1\nb = \xff\n", "F:3: is not UTF-8 text"), (b"#" * (1 << 20) + b"#", "more than 1 MiB")],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, said: str) -> None:
    (line,) = problems(tmp_path / "w.ini", content)
    assert said in line


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ini", tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be read: (No such file|Is a directory)"):
            read_file(path)


@given(st.text(st.sampled_from("[]ab:=# ;\n\t\r\x0b\x1c\u2028k")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "w.ini")
        file.write_text(text, newline="")
        with contextlib.suppress(ConfigError):
            read_file(file)
