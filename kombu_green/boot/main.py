"""What ``python -m kombu_green.boot`` does, after patching."""

from __future__ import annotations

from collections.abc import Sequence

from kombu_green.boot.arguments import parse
from kombu_green.boot.checking import check
from kombu_green.boot.dead.verb import dead
from kombu_green.boot.serving import serve
from kombu_green.boot.wiring import build

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run the verb that *argv* names; returns the exit code."""
    if argv[:1] == ["dead"]:
        return dead(argv[1:])
    arguments = parse(argv)
    return check(arguments, build) if arguments.verb == "check" else serve(arguments, build)
