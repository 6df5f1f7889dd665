"""Text of somebody else (a publisher, a broker, an exception) in one line of a log or of a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""*text* with every character that is not printable written as its escape: ``\n``, ``\x1b``, ``\u2028``.

    So it cannot begin another line, and cannot move a terminal's cursor or change its colours.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
