"""The file as text: sections, keys and lines.  What the values mean is :mod:`kombu_green.config.reading`'s business.

Comments are whole lines that start with ``#`` or ``;``; within a value both are ordinary characters, since a password
may hold them.  A value goes on in indented lines.  The parser stops at the first line that it cannot read: to report
all of them, the line is blanked and the file parsed again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iniconfig import IniConfig, ParseError

from kombu_green.config.problems import ConfigError, Problem

__all__ = ["Section", "Value", "read_file"]

_LARGEST: Final = 1 << 20  # bytes; a worker's file has a few thousand
_MOST_PROBLEMS: Final = 50
_SECTION: Final = re.compile(r"\[[^\[\]#;]+\]\s*([#;].*)?")


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written.  ``folder`` is where its relative paths start from."""

    text: str
    where: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Section:
    where: str
    values: Mapping[str, Value]


def read_file(file: Path) -> dict[str, Section]:
    """The sections of *file* by name, in its order; :exc:`ConfigError` with everything that is no ini syntax."""
    lines = _text(file).splitlines()
    problems = _broken_headers(file, lines)
    for _ in range(_MOST_PROBLEMS):
        try:
            parsed = IniConfig.parse(file, "\n".join(lines), strip_inline_comments=False, strip_section_whitespace=True)
            break
        except ParseError as error:
            problems.append((error.lineno + 1, _in_words(error.msg)))
            lines[error.lineno] = _blanked(lines[error.lineno], error.lineno)
    if problems:
        raise ConfigError([Problem(message, f"{file}:{line}") for line, message in sorted(problems)])
    folder = file.resolve().parent
    return {
        section.name: Section(
            f"{file}:{parsed.lineof(section.name)}",
            {key: Value(text.strip(), f"{file}:{section.lineof(key)}", folder) for key, text in section.items()},
        )
        for section in parsed
    }


def _text(file: Path) -> str:
    try:
        with open(file, "rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {error.strerror}", str(file))]) from error
    if len(content) > _LARGEST:
        raise ConfigError([Problem("is no configuration file: it has more than 1 MiB", str(file))])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem("is not UTF-8 text", f"{file}:{line}")]) from error


def _broken_headers(file: Path, lines: list[str]) -> list[tuple[int, str]]:
    """Lines that start with ``[`` and are no section: the parser would take them for more of the value before."""
    problems = []
    for index, line in enumerate(lines):
        if line.startswith("[") and not _SECTION.fullmatch(line.rstrip()):
            problems.append((index + 1, "is no section: write [name], without '[', ']', '#' and ';' in the name"))
            lines[index] = _blanked(line, index)  # what follows still has a section to stand in
    return problems


def _blanked(line: str, index: int) -> str:
    """A second section of one name becomes another one, so that its keys are still read; all else becomes nothing."""
    return f"[broken line {index + 1}]" if line.startswith("[") else ""


def _in_words(message: str) -> str:
    """The parser's message without the line's own text, which may hold a password."""
    if message.startswith("unexpected line"):
        return "is neither [section] nor key = value"
    if message.startswith("unexpected value continuation"):
        return "is indented, but there is no value before it to go on"
    if message.startswith("no section"):
        return "stands before the first [section]"
    return message
