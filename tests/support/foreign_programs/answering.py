"""What a foreign program does all its life: told an operation over standard input, it answers over standard output.

Both are pickled, so that a date stays a date and an integer of 70 bits whole.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["answer"]


def answer(operations: Mapping[str, Callable[..., Any]]) -> None:
    """Until standard input ends: one ``(name, arguments)`` in, one ``(None, result)`` or ``(error, text)`` out."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            said: tuple[str | None, Any] = None, operations[name](**arguments)
        except Exception as error:  # noqa: BLE001  it is told to whoever asked
            said = type(error).__name__, str(error)
        pickle.dump(said, answers)
        answers.flush()
