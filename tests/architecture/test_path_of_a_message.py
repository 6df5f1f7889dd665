"""How far a reader has to jump to follow one message: counted on a real worker, call by call.

A *stay* is a run of calls within one module, a *return* a stay in a module that was left before, and a *climb* a call
of a module that itself imports the one that calls.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from grimp import build_graph

from tests.support.rabbitmq import RabbitMQ

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

RUNTIME = ("kombu_green.worker", "kombu_green.dispatch")


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


def dispatched(calls: list[Call]) -> list[Call]:
    """The calls within worker and dispatch, from that of ``Dispatcher.dispatch`` on."""
    slot = next(call.greenlet for call in calls if call.function == "dispatch")
    own = [call for call in calls if call.greenlet == slot and call.module.startswith(RUNTIME)]
    return own[next(at for at, call in enumerate(own) if call.function == "dispatch") :]


@cache
def imports(importer: str, imported: str) -> bool:
    return build_graph("kombu_green").chain_exists(importer, imported)


def test_a_message_is_followed_without_going_back_and_forth() -> None:
    calls = dispatched(traced("memory://path"))
    stays = [module for module, _ in groupby(call.module for call in calls)]
    assert stays[0] == "kombu_green.worker.dispatcher"
    assert stays[-1] == "kombu_green.worker.settler"
    assert len(stays) <= 8, stays
    assert len(stays) - len(set(stays)) <= 2, stays
    jumps = {(call.caller, call.module) for call in calls[1:] if call.caller != call.module}
    assert [jump for jump in jumps if imports(jump[1], jump[0])] == []


#: from the socket to the ack, with the codec of its body and all that a launcher adds (gate and recorder: three files)
MOST_FILES = 21


def test_from_socket_to_ack_it_passes_through_no_more_files_than_it_did(rabbitmq: RabbitMQ) -> None:
    calls = traced(rabbitmq.url)
    slot = next(call.greenlet for call in calls if call.function == "dispatch")
    reader = next(call.greenlet for call in calls if call.function == "give")
    files = {call.module for call in calls if call.greenlet in (slot, reader)}
    assert len(files) <= MOST_FILES, "\n".join(sorted(files))
