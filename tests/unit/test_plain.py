from __future__ import annotations

import pytest

from kombu_green import plain
from kombu_green.exceptions import DecodeError


def test_every_text_charset_of_python_is_known() -> None:
    for charset in ("utf-8", "utf_16", "latin-1", "cp1252", "shift_jis", "koi8-r", "gb18030", "utf-8-sig"):
        assert plain.to_text("abc".encode(charset), charset) == "abc"


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "unicode_escape", "raw-unicode-escape", "undefined", "hex", "rot13"]
)
def test_other_codecs_of_python_are_not(charset: str) -> None:
    with pytest.raises(DecodeError, match=f"unknown charset '{charset}' in content_encoding"):
        plain.to_text(b"61", charset)


def test_names_of_types() -> None:
    assert plain.type_name([]) == "list"
    assert plain.type_name(plain.raw_encode) == "function"
    assert plain.type_name(DecodeError()) == "kombu_green.exceptions.DecodeError"
