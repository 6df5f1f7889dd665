"""What the figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

__all__ = ["described"]


def described() -> str:
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    busy = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({_processor()}), {system}, {busy:.1f} processes running before"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except FileNotFoundError:
        found = None
    return found[1] if found else platform.machine()
