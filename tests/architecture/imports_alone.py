"""Imports each module named on its input in a process of its own, and prints what that did beside importing.

One line of JSON a module: its name and a list of complaints. Forking keeps it fast; this process itself imports next to
nothing, so every child starts clean.
"""

from __future__ import annotations

import _thread
import gc
import json
import os
import signal
import sys
import warnings
from typing import Any

FORBIDDEN = {
    "socket.__new__": "opens a socket",
    "socket.getaddrinfo": "asks for an address",
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "_thread.start_new_thread": "starts a thread",
    "_thread.start_joinable_thread": "starts a thread",
    "os.mkdir": "makes a folder",
}


def complaints(name: str) -> list[str]:
    seen: list[str] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            seen.append(FORBIDDEN[event])
        elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
            seen.append(f"writes {args[0]}")

    def start_new_thread(*args: Any) -> int:
        seen.append("starts a thread")
        return begin_thread(*args)

    sys.addaudithook(watch)
    begin_thread, _thread.start_new_thread = _thread.start_new_thread, start_new_thread  # 3.11 has no event
    handlers = signal_handlers()
    try:
        __import__(name)
    except BaseException as error:  # noqa: BLE001  SystemExit would end the whole test run
        return [*seen, f"cannot be imported: {type(error).__name__}: {error}"]
    if signal_handlers() != handlers:
        seen.append("takes a signal")
    return seen + gevent_at_work()


def signal_handlers() -> list[object]:
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def gevent_at_work() -> list[str]:
    found = []
    if "greenlet" in sys.modules:
        greenlet = sys.modules["greenlet"]
        if any(isinstance(thing, greenlet.greenlet) and thing.parent for thing in gc.get_objects()):
            found.append("starts a greenlet")
    if "gevent" in sys.modules and sys.modules["gevent._hub_local"].get_hub_if_exists() is not None:
        found.append("makes a hub")
    if "gevent.monkey" in sys.modules:
        patched = [
            name
            for name in ("socket", "ssl", "threading", "time", "os", "select", "subprocess", "queue", "signal")
            if sys.modules["gevent.monkey"].is_module_patched(name)
        ]
        found.extend(f"patches {name}" for name in patched)
    return found


def main() -> None:
    warnings.simplefilter("error")
    sys.dont_write_bytecode = True
    for name in sys.stdin.read().split():
        child = os.fork()
        if not child:
            found = complaints(name)
            os.write(1, (json.dumps([name, found]) + "\n").encode())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            os.write(1, (json.dumps([name, [f"ended with status {status}"]]) + "\n").encode())


if __name__ == "__main__":
    main()
