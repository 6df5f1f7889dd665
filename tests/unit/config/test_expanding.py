"""``${NAME:default}`` and ``file:``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kombu_green.config.expanding import expand, read_secret

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
def test_references(text: str, value: str, used: list[str]) -> None:
    assert expand(text, ENVIRON) == (value, used)


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(ValueError, match="the environment has no NONE"):
        expand("${NONE}", ENVIRON)


@pytest.mark.parametrize("text", ["${", "${USER", "${}", "${1A}", "${a b}"])
def test_half_a_reference(text: str) -> None:
    with pytest.raises(ValueError, match="starts no"):
        expand(text, ENVIRON)


def test_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n pass word \n")
    assert read_secret("file:secret", tmp_path) == "pass word"
    assert read_secret(f"file:{tmp_path}/secret", Path("/")) == "pass word"
    assert read_secret(f"file://{tmp_path}/secret", Path("/")) == "pass word"
    assert read_secret("filed", tmp_path) is None


def test_secrets_that_cannot_be_read(tmp_path: Path) -> None:
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
