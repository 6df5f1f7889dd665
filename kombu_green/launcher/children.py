"""How a child of ours is started: the same interpreter, the same kombu_green, and nothing from the current folder."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["child_command", "child_environment", "module_command"]


def child_command(verb: str, file: Path, overrides: Sequence[str]) -> list[str]:
    """The argument list that runs *verb* of :mod:`kombu_green.child` on *file*.

    ``-P`` keeps the current folder off the child's path: a folder there that is named like a module of ours, or of the
    standard library, is not meant.  With ``-X faulthandler`` a SIGABRT prints what every thread does.
    """
    sets = [part for override in overrides for part in ("--set", override)]
    return module_command("kombu_green.child", [verb, "-c", str(file), *sets])


def module_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The argument list that runs *module* of kombu_green with *arguments*."""
    return [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments]


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """*environ*, so that a fresh interpreter finds this kombu_green and no other: a checkout is on nobody's path."""
    root = str(Path(__file__).resolve().parents[2])
    if root in map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()]):
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))}
