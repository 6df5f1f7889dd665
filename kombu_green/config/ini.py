"""The text of the settings: sections and keys of an ini file, ``--set`` on top of them, and references in values.

What a value means is decided in :mod:`kombu_green.config.loader`.

A comment is a whole line that starts with ``#`` or ``;``.  Within a value both are ordinary characters, since a
password may contain them.  Indented lines continue a value.  The parser of ``iniconfig`` stops at the first wrong line;
to report all of them, a wrong line is blanked and the text parsed again.

A value may refer to the environment (``${NAME}``, ``${NAME:default}``); ``$${`` is a plain ``${``, and every other
character, ``%`` too, stands for itself.  References are not replaced a second time.  A value that starts with ``file:``
after that is the content of that file, without surrounding blanks.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from iniconfig import IniConfig, ParseError

from kombu_green.config.problems import ConfigError, Problem
from kombu_green.url import mask

__all__ = ["Section", "Value", "apply_overrides", "expand_variables", "read_ini", "read_secret", "split_override"]

_LARGEST: Final = 1 << 20  # bytes of a file; a real one has a few thousand
_LARGEST_SECRET: Final = 1 << 16  # bytes
_MOST_PROBLEMS: Final = 50
_SECTION: Final = re.compile(r"\[[^\[\]#;]+\]\s*([#;].*)?")
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}|\$\{")


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written: its text, the file and line (or ``--set``), and the folder of relative paths."""

    text: str
    where: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Section:
    """A section as it was written: the file and line of its header, and its values by key."""

    where: str
    values: Mapping[str, Value]


def read_ini(file: Path) -> dict[str, Section]:
    """The sections of *file* by name, in its order; raises :exc:`ConfigError` with all syntax errors."""
    lines = _text(file).splitlines()
    problems = _blank_broken_headers(lines)
    for _ in range(_MOST_PROBLEMS):
        try:
            parsed = IniConfig.parse(file, "\n".join(lines), strip_inline_comments=False, strip_section_whitespace=True)
            break
        except ParseError as error:
            problems.append((error.lineno + 1, _message(error.msg)))
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
        mode = os.stat(file).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # reading a pipe would block, and a reload with it
            raise ConfigError([Problem("cannot be read: it is no regular file", str(file))])
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


def _blank_broken_headers(lines: list[str]) -> list[tuple[int, str]]:
    """Blank the lines that start with ``[`` and are no section; returns their numbers, each with a message.

    The parser would read such a line as a part of the value before it.
    """
    problems = []
    for index, line in enumerate(lines):
        if line.startswith("[") and not _SECTION.fullmatch(line.rstrip()):
            problems.append((index + 1, "is no section: write [name], without '[', ']', '#' and ';' in the name"))
            lines[index] = _blanked(line, index)
    return problems


def _blanked(line: str, index: int) -> str:
    """A replacement for a wrong line: for a section header another section, so that the keys below have one."""
    return f"[broken line {index + 1}]" if line.startswith("[") else ""


def _message(message: str) -> str:
    """The parser's message without the text of the line, which may contain a password."""
    if message.startswith("unexpected line"):
        return "is neither [section] nor key = value"
    if message.startswith("unexpected value continuation"):
        return "is indented, but there is no value before it to go on"
    if message.startswith("no section"):
        return "stands before the first [section]"
    return message


def split_override(text: str) -> tuple[str, str, str]:
    """Section, key and value of ``section.key=value``; ``ValueError`` if *text* has another form.

    The section ends at the last dot before the first ``=``, since a queue's name may contain dots; or at
    ``.arguments.``, since an argument's name is part of the key.

    >>> split_override("queue:video.hd.arguments.x-max-length=5")
    ('queue:video.hd', 'arguments.x-max-length', '5')
    """
    target, equals, value = text.partition("=")
    section, marker, argument = target.rpartition(".arguments.")
    key = f"arguments.{argument}"
    if not marker:
        section, _, key = target.rpartition(".")
    section, key = section.strip(), key.strip()
    if not (equals and section and key):
        raise ValueError(f"{target!r} does not say what to set: write section.key=value, such as worker.processes=2")
    return section, key, value.strip()


def apply_overrides(sections: Mapping[str, Section], overrides: Sequence[str], folder: Path) -> dict[str, Section]:
    """A copy of *sections* with *overrides* on top; of several for one key the last counts.

    Relative paths in them start from *folder*.  Raises :exc:`ConfigError` with all that are malformed.
    """
    changed = dict(sections)
    problems = []
    for text in overrides:
        try:
            name, key, value = split_override(text)
        except ValueError as error:
            problems.append(Problem(mask(str(error)), "--set"))
            continue
        where = mask(f"--set {name}.{key}")
        section = changed.get(name, Section(where, {}))
        changed[name] = replace(section, values={**section.values, key: Value(value, where, folder)})
    if problems:
        raise ConfigError(problems)
    return changed


def expand_variables(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """*text* with its references replaced, and the names of the variables that were set.

    ``ValueError`` if a reference is malformed, or its variable is not set and it has no default.
    """
    used = []

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None:
            raise ValueError("'${' starts no ${NAME} or ${NAME:default}; for a plain one write '$${'")
        if name in environ:
            used.append(name)
            return environ[name]
        if default is None:
            raise ValueError(f"the environment has no {name}, and ${{{name}}} gives no default: ${{{name}:default}}")
        return default

    return _REFERENCE.sub(value_of, text), used


def read_secret(text: str, folder: Path) -> str | None:
    """The content of the file that ``file:PATH`` names; None if *text* does not start with ``file:``.

    ``ValueError``, which names the file, if it cannot be read, is no UTF-8 text, or is larger than 64 KiB.
    """
    if not text.startswith("file:"):
        return None
    path = folder / text.removeprefix("file:").removeprefix("//").strip()
    try:
        if not path.is_file():  # reading a pipe would block, reading a device might never end
            raise ValueError(f"there is no file {path}")
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_SECRET:
        raise ValueError(f"{path} is too large for a secret: more than 64 KiB")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
