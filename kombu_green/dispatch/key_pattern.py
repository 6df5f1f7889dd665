"""Which routing keys a callback's pattern takes, which of two patterns says more, and whether they can tie.

The patterns are AMQP's for topic exchanges (AMQP 0-9-1, 3.1.3.3): words between dots, ``*`` for one word, ``#`` for any
number of them, none included.  An exchange only asks whether a pattern matches; here two patterns are compared too, and
matching is the case of it where one of them has no wildcards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Final

__all__ = ["KeyPattern"]


class _Wild(Enum):
    ONE = "*"
    ANY = "#"


_Word = str | _Wild


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A topic pattern; the default takes every key.

    >>> KeyPattern("video.#").matches("video")
    True
    >>> KeyPattern("a.*").common(KeyPattern("*.b"))
    'a.b'
    """

    text: str = "#"
    _words: tuple[_Word, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words: list[_Word] = []
        wild = {"*": _Wild.ONE, "#": _Wild.ANY}
        for is_wild, run in groupby(_split(self.text), wild.__contains__):
            if is_wild:
                # "#.*", "*.#" and "#.*.#" take the same keys: one way to write it, stars first
                signs = list(run)
                words += [_Wild.ONE] * signs.count("*") + [_Wild.ANY] * ("#" in signs)
            else:
                words += run
        object.__setattr__(self, "_words", tuple(words))

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sorts the more specific first: more literal words, then fewer ``#``, then more ``*``.

        A pattern that takes only a part of what another one takes always comes before it.
        """
        stars, hashes = self._words.count(_Wild.ONE), self._words.count(_Wild.ANY)
        return (stars + hashes - len(self._words), hashes, -stars)

    def matches(self, key: str) -> bool:
        return _common(self._words, _split(key)) is not None

    def common(self, other: KeyPattern) -> str | None:
        """A key that both take, for an example, or None when there is none."""
        words = _common(self._words, other._words)
        return None if words is None else ".".join(words)


def _split(key: str) -> list[str]:
    return key.split(".") if key else []


def _common(left: Sequence[_Word], right: Sequence[_Word]) -> tuple[str, ...] | None:
    """The words of a key that both sides take: a walk through both at once, each pair of places visited once."""
    seen: set[tuple[int, int]] = set()
    todo: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, ())]
    while todo:
        i, j, words = todo.pop()
        if (i, j) in seen:
            continue
        seen.add((i, j))
        if i == len(left) and j == len(right):
            return words
        a = left[i] if i < len(left) else _END
        b = right[j] if j < len(right) else _END
        if a is not _END and b is not _END and (word := _word(a, b)) is not None:
            todo.append((i + (a is not _Wild.ANY), j + (b is not _Wild.ANY), (*words, word)))
        if a is _Wild.ANY:
            todo.append((i + 1, j, words))
        if b is _Wild.ANY:
            todo.append((i, j + 1, words))
    return None


def _word(a: _Word, b: _Word) -> str | None:
    """A word that both places take, or None."""
    if isinstance(a, str):
        return a if isinstance(b, _Wild) or a == b else None
    return b if isinstance(b, str) else "any"


_END: Final = None
