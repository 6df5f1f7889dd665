"""The text of settings: sections and lines of a file with all its syntax errors, ``--set``, and references."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.ini import (
    Section,
    Value,
    apply_overrides,
    expand_variables,
    read_ini,
    read_secret,
    split_override,
)
from kombu_green.config.problems import ConfigError


def problems(file: Path, text: str | bytes) -> list[str]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_ini(file)
    return str(caught.value).replace(f"{file}", "F").splitlines()


def test_sections_values_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "w.ini"
    file.write_text(
        "\ufeff# comment\n[broker]\n; comment\nurl = a#b;c%40\nlong = x,\n  # not this\n  y\n\n[ queue:a ] # so\n"
    )
    sections = read_ini(file)
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
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (line,) = problems(tmp_path / "w.ini", content)
    assert said in line


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ini", tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be read: (No such file|Is a directory)"):
            read_ini(path)


@given(st.text(st.sampled_from("[]ab:=# ;\n\t\r\x0b\x1c\u2028k")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "w.ini")
        file.write_text(text, newline="")
        with contextlib.suppress(ConfigError):
            read_ini(file)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("worker.processes=4", ("worker", "processes", "4")),
        ("consumer:media.concurrency=4", ("consumer:media", "concurrency", "4")),
        ("queue:video.hd.durable=no", ("queue:video.hd", "durable", "no")),
        ("queue:video.hd.arguments.x-max-length=5", ("queue:video.hd", "arguments.x-max-length", "5")),
        ("queue:video.arguments.a.b=5", ("queue:video", "arguments.a.b", "5")),
        ("broker.url=sqla+sqlite:///x.db?a=b", ("broker", "url", "sqla+sqlite:///x.db?a=b")),
        ("retry:slow.not_on=", ("retry:slow", "not_on", "")),
    ],
)
def test_an_override_is_split_where_its_section_ends(text: str, parts: tuple[str, str, str]) -> None:
    assert split_override(text) == parts


@pytest.mark.parametrize("text", ["", "x", "=", "worker=1", "worker.=1", ".processes=1", "worker.processes"])
def test_an_override_that_does_not_say_what_to_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write section\.key=value"):
        split_override(text)


def test_the_last_override_of_a_key_counts_and_values_of_the_file_stay() -> None:
    before = {"worker": Section("F:1", {"strict": Value("yes", "F:2", Path("/conf"))})}
    after = apply_overrides(before, ["worker.processes=2", "worker.processes=3", "broker.url=x"], Path("/here"))
    assert {name: {k: v.text for k, v in s.values.items()} for name, s in after.items()} == {
        "worker": {"strict": "yes", "processes": "3"},
        "broker": {"url": "x"},
    }
    assert after["worker"].values["processes"] == Value("3", "--set worker.processes", Path("/here"))
    assert list(before["worker"].values) == ["strict"]


def test_all_malformed_overrides_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({}, ["a", "worker.processes=1", "b"], Path())
    assert len(caught.value.problems) == 2


ENVIRON = {"USER": "me", "EMPTY": "", "NESTED": "${USER}"}


@pytest.mark.parametrize(
    ("text", "value", "used"),
    [
        ("plain %40 $ { }", "plain %40 $ { }", []),
        ("a${USER}b${USER}", "amebme", ["USER", "USER"]),
        ("${NONE:x:y}", "x:y", []),
        ("${NONE:}", "", []),
        ("${EMPTY:x}", "", ["EMPTY"]),
        ("${NESTED}", "${USER}", ["NESTED"]),
        ("$${USER}", "${USER}", []),
    ],
)
def test_references_to_variables_are_replaced(text: str, value: str, used: list[str]) -> None:
    assert expand_variables(text, ENVIRON) == (value, used)


def test_a_variable_that_is_not_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="the environment has no NONE"):
        expand_variables("${NONE}", ENVIRON)


@pytest.mark.parametrize("text", ["${", "${USER", "${}", "${1A}", "${a b}"])
def test_a_malformed_reference_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="starts no"):
        expand_variables(text, ENVIRON)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n pass word \n")
    assert read_secret("file:secret", tmp_path) == "pass word"
    assert read_secret(f"file:{tmp_path}/secret", Path("/")) == "pass word"
    assert read_secret(f"file://{tmp_path}/secret", Path("/")) == "pass word"
    assert read_secret("filed", tmp_path) is None


def test_a_secret_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name, said in [
        ("none", "no file"),
        ("pipe", "no file"),
        ("", "no file"),
        ("large", "too large"),
        ("bytes", "UTF-8"),
    ]:
        with pytest.raises(ValueError, match=said):
            read_secret(f"file:{name}", tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.ini")
    with pytest.raises(ConfigError, match="it is no regular file"):
        read_ini(tmp_path / "w.ini")
