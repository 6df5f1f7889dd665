"""The kinds of value a setting can have: how each is read from text, and written back for ``--check``.

Reading is strict, since a value that is guessed wrong runs for months: a duration has a unit (only ``0`` needs none),
a size is a whole number with an optional binary or decimal unit, a flag is a word.  Every reader raises
``ValueError`` with one sentence that says what is expected; the caller adds file, line, section and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from kombu_green.config.quantities import read_duration, read_size, show_duration, show_size
from kombu_green.suggestions import did_you_mean
from kombu_green.url import BrokerURL, mask, split_urls

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
    "size",
    "text",
    "urls",
]

T = TypeVar("T")

_FLAGS: Final[Mapping[str, bool]] = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value.

    ``read(text, folder)`` takes the text without surrounding blanks and the folder that relative paths start from;
    ``show`` writes a value as it could stand in the file, but for passwords, which it masks.  ``empty`` stands in for a
    required value that is missing, until all problems are told.
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
    """Two durations, first wait and ceiling, ``1s..10m``; a single one is a constant wait."""

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
    """``yes`` or ``no``; ``true false on off`` do as well."""

    def read(text: str, folder: Path) -> bool:
        try:
            return _FLAGS[text.lower()]
        except KeyError:
            raise ValueError(f"{text!r} is neither yes nor no") from None

    return Kind("yes or no", read, show_flag)


def show_flag(value: bool) -> str:
    return "yes" if value else "no"


def text() -> Kind[str]:
    """One line of text as it stands."""

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


def names() -> Kind[tuple[str, ...]]:
    """A list by commas (or lines); blanks around the parts do not count, empty parts and repetitions are refused."""

    def read(text: str, folder: Path) -> tuple[str, ...]:
        if not text:
            return ()
        parts = [part.strip() for part in re.split(r",\s*\n|[,\n]", text.removesuffix(","))]
        if not all(parts):
            raise ValueError(f"{text!r} has an empty place between two commas")
        if len(set(parts)) < len(parts):
            raise ValueError(f"{text!r} names something twice")
        return tuple(parts)

    return Kind("list, by commas", read, ", ".join, ())


def folder() -> Kind[Path]:
    """A folder; a relative one starts from where the setting was written."""

    def read(text: str, folder: Path) -> Path:
        try:
            path = (folder / Path(text).expanduser()).resolve()
            found = path.is_dir()
        except (OSError, RuntimeError) as error:  # nobody's home, a loop of links, a name that is too long
            raise ValueError(f"{text!r} cannot be looked at: {error}") from error
        if not found:
            raise ValueError(f"there is no folder {path}")
        return path

    return Kind("folder", read, str)


def new_folder() -> Kind[Path]:
    """A folder that need not be there yet; a relative one starts from where the setting was written."""

    def read(text: str, folder: Path) -> Path:
        try:
            path = (folder / Path(text).expanduser()).resolve()
            wrong = path.exists() and not path.is_dir()
        except (OSError, RuntimeError) as error:  # nobody's home, a loop of links, a name that is too long
            raise ValueError(f"{text!r} cannot be looked at: {error}") from error
        if wrong:
            raise ValueError(f"{path} is no folder")
        return path

    return Kind("folder", read, str)


def urls() -> Kind[str]:
    """Broker addresses, several with ``;``.  A SQLite file's relative path starts where the setting was written."""

    def read(text: str, folder: Path) -> str:
        found = [_located(url, folder) for url in split_urls(text.replace("\n", ""))]
        if not found:
            raise ValueError("is empty: give the broker's address, such as sqla+sqlite:///var/jobs.db")
        try:
            for url in found:
                BrokerURL.parse(url)
        except ValueError as error:
            hint = "; in a user's name or password, / ? # ; : @ % are written %2F %3F %23 %3B %3A %40 %25"
            raise ValueError(f"{error}{hint if '@' in text else ''}") from error
        return ";".join(found)

    return Kind("URL, several with ;", read, mask, "")


def _located(url: str, folder: Path) -> str:
    """*url* with the file of a SQLite database made absolute; ``:memory:`` and ``file:`` URIs are no paths."""
    match = re.fullmatch(r"((?:\w+\+)?sqlite(?:\+\w+)?:///)([^/?:][^?:]*)((?:\?.*)?)", url, re.DOTALL)
    if match is None:
        return url
    path = Path(os.path.abspath(folder / match[2]))
    if set("?;") & set(str(path)):
        raise ValueError(f"the database's folder has a '?' or ';' in its name, which no URL can say: {path}")
    return f"{match[1]}{path}{match[3]}"


def argument() -> Kind[Any]:
    """A broker's own argument: a whole number, yes or no (true, false), else text; in double quotes always text."""

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
