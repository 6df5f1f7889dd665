"""A worker, as far as the benchmarks can tell: ``worker.py MARKS`` leaves so many marks, then waits to be stopped."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from benchmarks.applications.counting import MARKS, handle
from benchmarks.applications.marks import handled

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    for number in range(int(sys.argv[1])):
        handle(None, None)
        while number == 0 and handled(folder) < 2:
            time.sleep(0.001)  # until the other one is at work, too
    if MARKS.count == 0:
        sys.exit("nothing to do")
    signal.pause()
