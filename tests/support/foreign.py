"""Foreign programs at the other end of a broker, each in a process and an event loop of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Foreign", "ForeignError"]

ROOT: Final = Path(__file__).parents[2]


class ForeignError(Exception):
    """What an operation of the foreign program raised: the name of its class, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Foreign:
    """A program of ``tests/support/foreign_programs`` that answers; ended with the ``with`` block."""

    def __init__(self, program: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.foreign_programs.{program}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, operation: str, **arguments: Any) -> Any:
        """What *operation* returns; :exc:`ForeignError` is what it raises."""
        self.begin(operation, **arguments)
        return self.result()

    def begin(self, operation: str, **arguments: Any) -> None:
        """Start *operation*; :meth:`result` waits for its end."""
        assert self._process.stdin is not None
        pickle.dump((operation, arguments), self._process.stdin)
        self._process.stdin.flush()

    def result(self) -> Any:
        assert self._process.stdout is not None
        kind, said = pickle.load(self._process.stdout)
        if kind is not None:
            raise ForeignError(kind, said)
        return said
