"""The calls that one message makes in a real worker, each with its caller and greenlet."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["Call", "traced"]

PROGRAM = """
import gevent.monkey
gevent.monkey.patch_all()

import json, sys
from pathlib import Path
import gevent, greenlet, kombu_green
from gevent.event import Event
from kombu_green import Connection, Producer, Worker
from kombu_green.clock import Deadline

ROOT = str(Path(kombu_green.__file__).parent) + "/"
handled = Event()
app = Worker(sys.argv[1], concurrency=1)
app.record()
app.guard(lambda note: None)  # as under a launcher
app.callback(queue=sys.argv[2])(lambda body, message: handled.set())
app.start()
assert app.ready.wait(20)
publisher = app.connection if sys.argv[1].startswith("memory") else Connection(sys.argv[1])


def publish():
    handled.clear()
    Producer(publisher.default_channel).publish({"a": 1}, routing_key=sys.argv[2])
    assert handled.wait(20)
    gevent.sleep(0.2)  # its ack leaves, and the consumer waits again


def module_of(frame):
    while frame is not None and not frame.f_code.co_filename.startswith(ROOT):
        frame = frame.f_back
    return "" if frame is None else "kombu_green." + frame.f_code.co_filename[len(ROOT):-3].replace("/", ".")


def profile(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith(ROOT):
        calls.append((module_of(frame.f_back), module_of(frame), frame.f_code.co_name, id(greenlet.getcurrent())))


publish()  # everything is composed and remembered by now
calls = []
sys.setprofile(profile)
publish()
sys.setprofile(None)
print(json.dumps(calls))
app.stop(Deadline.after(5))
"""


@dataclass(frozen=True)
class Call:
    caller: str
    module: str
    function: str
    greenlet: int


def traced(url: str) -> list[Call]:
    command = [sys.executable, "-c", PROGRAM, url, "path-of-a-message"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [Call(*call) for call in json.loads(done.stdout)]
