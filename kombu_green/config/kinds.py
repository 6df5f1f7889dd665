"""The kinds of values that settings have: how each is read from text, and written back for ``--check``.

Reading is strict, because a wrongly guessed value may go unnoticed for months: a duration has a unit (only ``0`` needs
none), a size is a whole number with an optional binary or decimal unit, a flag is a word.  Every reader raises
``ValueError`` with one sentence that says what is expected; the caller adds file, line, section and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from kombu_green.suggestions import did_you_mean
from kombu_green.url import BrokerURL, mask_url, split_urls

__all__ = [
    "Kind",
    "argument",
    "backoff",
    "choice",
    "duration",
    "flag",
    "folder",
    "integer",
    "names",
    "new_folder",
    "pattern",
    "read_count",
    "read_duration",
    "read_size",
    "show_duration",
    "show_size",
    "single_name",
    "size",
    "text",
    "urls",
]

T = TypeVar("T")

_LONGEST_DURATION: Final = 366 * 86400.0  # seconds; a longer wait overflows the poll calls of some systems
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_FLAGS: Final[Mapping[str, bool]] = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def read_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def read_duration(text: str) -> float:
    """A duration with its unit, in seconds."""
    if text == "0":
        return 0.0
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)", text)
    if match is None:
        hint = f": did you mean {text}s?" if re.fullmatch(r"[0-9.]+", text) else ", such as 500ms, 30s, 10m, 2h or 1d"
        raise ValueError(f"{text!r} is not a duration (a number with a unit){hint}")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if seconds > _LONGEST_DURATION:
        raise ValueError(f"{text} is too long: 366d or less")
    return seconds


def show_duration(seconds: float) -> str:
    """*seconds* written with the largest unit that needs no fraction; below a second, in milliseconds."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        if seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:.0f}{unit}"
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds:.6f}".rstrip("0") + "s"


def read_size(text: str) -> int:
    """A size with or without a unit, in bytes."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text)
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size, such as 65536, 64KiB, 64MiB or 1GiB")
    return int(match[1]) * _SIZE_UNITS[match[2].lower()]


def show_size(value: int) -> str:
    """*value* bytes, written with the largest binary unit that needs no fraction."""
    for unit in ("GiB", "MiB", "KiB"):
        factor = _SIZE_UNITS[unit.lower()]
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value.

    ``read(text, folder)`` takes the text without surrounding blanks, and the folder that relative paths start from.
    ``show(value)`` writes the value as it could be written in the file, with passwords masked.  ``empty`` replaces a
    required value that is missing, so that reading can go on and report all problems.
    """

    name: str
    read: Callable[[str, Path], T]
    show: Callable[[T], str]
    empty: T | None = None


def integer(minimum: int, maximum: int | None = None) -> Kind[int]:
    """A whole number in decimal digits, within bounds (both included)."""
    bounds = f"from {minimum} to {maximum}" if maximum is not None else f"{minimum} or more"

    def read(text: str, folder: Path) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is not a whole number")
        value = int(text)
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"{value} is out of range: {bounds}")
        return value

    return Kind(f"whole number, {bounds}", read, str)


def duration(minimum: float = 0.0) -> Kind[float]:
    """Seconds, written with a unit: ``500ms 30s 10m 2h 1d``."""

    def read(text: str, folder: Path) -> float:
        value = read_duration(text)
        if value < minimum:
            raise ValueError(f"{text} is too short: {show_duration(minimum)} or more")
        return value

    return Kind("duration", read, show_duration)


def backoff() -> Kind[tuple[float, float]]:
    """Two durations, the first wait and the longest: ``1s..10m``.  A single one is a constant wait."""

    def read(text: str, folder: Path) -> tuple[float, float]:
        first_text, dots, ceiling_text = text.partition("..")
        first = read_duration(first_text.strip())
        ceiling = read_duration(ceiling_text.strip()) if dots else first
        if first > ceiling:
            raise ValueError(f"{text!r}: the first wait is longer than the longest")
        return first, ceiling

    return Kind("two durations, first..longest", read, lambda value: "..".join(map(show_duration, value)))


def size() -> Kind[int]:
    """Bytes: ``65536``, ``64KiB``, ``64MiB``, ``1GiB``; ``kB MB GB`` are powers of ten."""
    return Kind("size in bytes", lambda text, folder: read_size(text), show_size)


def flag() -> Kind[bool]:
    """``yes``, ``true``, ``on``, or ``no``, ``false``, ``off``; upper and lower case are the same."""

    def read(text: str, folder: Path) -> bool:
        try:
            return _FLAGS[text.lower()]
        except KeyError:
            raise ValueError(f"{text!r} is neither yes nor no") from None

    return Kind("yes or no", read, show_flag)


def show_flag(value: bool) -> str:
    return "yes" if value else "no"


def text() -> Kind[str]:
    """One line of text, unchanged."""

    def read(text: str, folder: Path) -> str:
        if "\n" in text:
            raise ValueError("is one line; this one goes on in the next")
        return text

    return Kind("text", read, str, "")


def choice(*words: str, prefix: str | None = None) -> Kind[str]:
    """One of *words*, or anything that starts with *prefix*."""

    def read(text: str, folder: Path) -> str:
        if text in words or (prefix is not None and text.startswith(prefix)):
            return text
        raise ValueError(
            f"{text!r} is not one of {', '.join(words)}{did_you_mean(text, words) if len(words) > 12 else ''}"
        )

    return Kind(" or ".join((*words, *([f"{prefix}…"] if prefix else []))), read, str)


def single_name() -> Kind[str]:
    """One name.  A blank, ``#`` or ``;`` in it needs double quotes around the name: else it may begin a comment."""
    return Kind("name", lambda text, folder: _read_name(text), _show_name, "")


def pattern() -> Kind[str]:
    """A routing key, which may have a ``#``; after a blank it would be a comment, and needs double quotes as well."""

    def read(text: str, folder: Path) -> str:
        return _read_name(text, re.compile(r"\s[#;]|\n"))

    return Kind("text", read, lambda value: f'"{value}"' if re.search(r"\s[#;]", value) else value, "")


_NEEDS_QUOTES: Final = re.compile(r"[\s#;]")


def _read_name(text: str, needs_quotes: re.Pattern[str] = _NEEDS_QUOTES) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if needs_quotes.search(text):
        raise ValueError(
            f"{text!r} has a blank, '#' or ';': a comment is a line of its own, and such a name is written \"{text}\""
        )
    return text


def _show_name(value: str) -> str:
    return f'"{value}"' if _NEEDS_QUOTES.search(value) else value


def names() -> Kind[tuple[str, ...]]:
    """Names (:func:`single_name`) separated by commas or lines.  Empty and repeated names are errors."""

    def read(text: str, folder: Path) -> tuple[str, ...]:
        if not text:
            return ()
        parts = [part.strip() for part in re.split(r",\s*\n|[,\n]", text.removesuffix(","))]
        if not all(parts):
            raise ValueError(f"{text!r} has an empty place between two commas")
        if len(set(parts)) < len(parts):
            raise ValueError(f"{text!r} names something twice")
        return tuple(_read_name(part) for part in parts)

    return Kind("list, by commas", read, lambda value: ", ".join(map(_show_name, value)), ())


def folder() -> Kind[Path]:
    """An existing folder; a relative path starts from the folder of the file, or of the command line."""

    def read(text: str, folder: Path) -> Path:
        try:
            path = (folder / Path(text).expanduser()).resolve()
            found = path.is_dir()
        except (OSError, RuntimeError) as error:  # an unknown user's ~, a loop of links, a name that is too long
            raise ValueError(f"{text!r} cannot be looked at: {error}") from error
        if not found:
            raise ValueError(f"there is no folder {path}")
        return path

    return Kind("folder", read, str)


def new_folder() -> Kind[Path]:
    """A folder that need not exist; a relative path starts from the folder of the file, or of the command line."""

    def read(text: str, folder: Path) -> Path:
        try:
            path = (folder / Path(text).expanduser()).resolve()
            wrong = path.exists() and not path.is_dir()
        except (OSError, RuntimeError) as error:  # an unknown user's ~, a loop of links, a name that is too long
            raise ValueError(f"{text!r} cannot be looked at: {error}") from error
        if wrong:
            raise ValueError(f"{path} is no folder")
        return path

    return Kind("folder", read, str)


def urls() -> Kind[str]:
    """URLs of brokers, separated by ``;``.  A relative path to a SQLite file is made absolute, as in :func:`folder`."""

    def read(text: str, folder: Path) -> str:
        found = [_located(url, folder) for url in split_urls(text.replace("\n", ""))]
        if not found:
            raise ValueError("is empty: give the broker's address, such as sqla+sqlite:///var/jobs.db")
        try:
            for url in found:
                BrokerURL.parse(url, within=text)
        except ValueError as error:
            hint = "; in a user's name or password, / ? # ; : @ % are written %2F %3F %23 %3B %3A %40 %25"
            raise ValueError(f"{error}{hint if '@' in text else ''}") from error
        return ";".join(found)

    return Kind("URL, several with ;", read, mask_url, "")


def _located(url: str, folder: Path) -> str:
    """*url* with the path of its SQLite file made absolute; ``:memory:`` and ``file:`` URIs are left as they are."""
    match = re.fullmatch(r"((?:\w+\+)?sqlite(?:\+\w+)?:///)([^/?:][^?:]*)((?:\?.*)?)", url, re.DOTALL)
    if match is None:
        return url
    path = Path(os.path.abspath(folder / match[2]))
    if set("?;") & set(str(path)):
        raise ValueError(f"the database's folder has a '?' or ';' in its name, which no URL can say: {path}")
    return f"{match[1]}{path}{match[3]}"


def argument() -> Kind[Any]:
    """An argument for the broker: a whole number, a flag (yes, no, true, false), or text; in double quotes, text."""

    def read(text: str, folder: Path) -> Any:
        if len(text) >= 2 and text[0] == text[-1] == '"':
            return text[1:-1]
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            return int(text)
        return {"yes": True, "true": True, "no": False, "false": False}.get(text.lower(), text)

    def show(value: Any) -> str:
        if isinstance(value, bool):
            return show_flag(value)
        if isinstance(value, str) and read(value, Path()) != value:
            return f'"{value}"'
        return str(value)

    return Kind("number, yes, no or text", read, show)
