"""Imports each module named on its input in a process of its own, and prints what that did beside importing.

One line of JSON a module: its name and a list of complaints. The libraries named as arguments are imported first, and
judged likewise: each module's process is a fork of this one, and need not import them again.
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


class Watch:
    """Notes what goes on in this process, and in each of its forks for itself."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._handlers = signal_handlers()
        self._begin_thread = _thread.start_new_thread
        _thread.start_new_thread = self._start_new_thread  # before Python 3.12 it is no event
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            self.seen.append(FORBIDDEN[event])
        elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
            self.seen.append(f"writes {args[0]}")

    def _start_new_thread(self, *args: Any) -> int:
        self.seen.append("starts a thread")
        return self._begin_thread(*args)

    def complaints(self, *modules: str) -> list[str]:
        """What importing *modules* does beside importing."""
        self.seen.clear()
        try:
            for module in modules:
                __import__(module)
        except BaseException as error:  # noqa: BLE001  SystemExit would end the whole test run
            return [*self.seen, f"cannot be imported: {type(error).__name__}: {error}"]
        if signal_handlers() != self._handlers:
            self.seen.append("takes a signal")
        return self.seen + gevent_at_work()


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


def tell(name: str, found: list[str]) -> None:
    os.write(1, (json.dumps([name, found]) + "\n").encode())


def main() -> None:
    warnings.simplefilter("error")
    sys.dont_write_bytecode = True
    watch = Watch()
    tell("libraries", watch.complaints(*sys.argv[1:]))
    gc.freeze()  # what the libraries made was judged above; not to look at it again takes half of the time
    for name in sys.stdin.read().split():
        child = os.fork()
        if not child:
            tell(name, watch.complaints(name))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            tell(name, [f"ended with status {status}"])


if __name__ == "__main__":
    main()
