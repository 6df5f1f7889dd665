"""What ``python -m kombu_green.child`` does, after patching."""

from __future__ import annotations

from collections.abc import Sequence

from kombu_green.child.arguments import parse
from kombu_green.child.checking import check
from kombu_green.child.serving import serve
from kombu_green.child.wiring import build

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run the verb that *argv* names; returns the exit code."""
    arguments = parse(argv)
    return check(arguments, build) if arguments.verb == "check" else serve(arguments, build)
