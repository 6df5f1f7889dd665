"""The end of a worker process that cannot import gevent: the launcher, or standard error, is told why.

It uses nothing but the standard library and the notes of :mod:`kombu_green.ipc`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.messages import CannotBoot, encode

__all__ = ["refuse"]

_OPTION: Final = "--control-fd"


def refuse(error: ImportError) -> NoReturn:
    """Tell the launcher on the command line, if there is one, that this process cannot boot, and exit with 78."""
    text = f"gevent cannot be imported by {sys.executable}: {type(error).__name__}: {error}"
    if _OPTION in sys.argv[:-1]:
        with suppress(OSError, ValueError):
            os.write(int(sys.argv[sys.argv.index(_OPTION) + 1]), encode(CannotBoot([text])))
    else:
        sys.stderr.write(f"kombu-worker: {text}\n")
    sys.exit(ExitCode.CANNOT_BOOT)
