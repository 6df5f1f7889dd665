"""``kombu-worker dead``: replaces this process by ``python -m kombu_green.dead_letters``, which may import a driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from kombu_green.launcher.children import child_environment, module_command

__all__ = ["dead"]


def dead(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the verb with its arguments *argv*; it then has the terminal and gets the signals."""
    command = module_command("kombu_green.dead_letters", argv)
    os.execve(command[0], command, child_environment())
