"""The callbacks of the workloads that run a whole worker: they leave a mark, at once or after a wait."""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.applications.marks import Marks

MARKS = Marks.from_environment()


def handle(body: Any, message: Any) -> None:
    MARKS.mark()


#: seconds, as for an answer from elsewhere
WAIT: Final = 0.05


def wait(body: Any, message: Any) -> None:
    time.sleep(WAIT)
    MARKS.mark()
