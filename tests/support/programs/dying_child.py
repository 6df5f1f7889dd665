"""A worker process without a hub that writes its recorder by hand and dies in the way that ``CHILD`` says.

``CHILD`` is JSON: for each start a list of steps, the last one for all further starts.  What the parent answers goes to
the file ``answers`` in the current folder, one JSON object a line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from kombu_green.ipc.message_keys import BY_ID, identity_prefix, message_key
from kombu_green.ipc.messages import (
    AdmissionClosed,
    AdmissionReply,
    AdmissionRequest,
    ChildReady,
    ChildStarted,
    Heartbeat,
    LineReader,
    Note,
    encode,
)
from kombu_green.ipc.recorder import Recorder, RowState

parser = argparse.ArgumentParser()
for option in ("--control-fd", "--lifeline-fd", "--recorder-fd", "--protocol"):
    parser.add_argument(option, type=int)
given = parser.parse_args()
control = socket.socket(fileno=given.control_fd)
recorder = Recorder(8, given.recorder_fd)
reader = LineReader()
name = recorder.name("jobs", "app:handle")


def say(note: Note) -> None:
    control.sendall(encode(note))


def identity(text: str) -> bytes:
    return identity_prefix("jobs", BY_ID) + text.encode()


def key(text: str) -> bytes:
    return message_key(identity(text))


def begin(row: int, text: str, limit: float = 0.0, offloaded: bool = False, finished: int = 0) -> None:
    """After so many messages that the slot has *finished*."""
    state = RowState.OFFLOADED if offloaded else RowState.RUNNING
    writer = recorder.row(row)
    writer.finished = finished
    writer.begin(name, identity(text), time.monotonic(), limit, state)


def ask(*asked: Any) -> None:
    """``row, text, row, text …``, in one piece: whoever reads one has all of them."""
    rows, texts = asked[::2], asked[1::2]
    control.sendall(
        b"".join(encode(AdmissionRequest(row, key(text).hex(), "jobs")) for row, text in zip(rows, texts, strict=True))
    )


def answered(count: int = 1) -> None:
    """Wait for so many answers, and write them down."""
    while count:
        for note in reader.feed(control.recv(65536)):
            if isinstance(note, AdmissionReply):
                count -= 1
                with open("answers", "a") as file:
                    file.write(json.dumps([note.row, note.park]) + "\n")


def victim(text: str) -> None:
    """Connect to the watcher, low and high among the descriptors, and die when it has noticed."""
    with socket.socket(socket.AF_UNIX) as link:
        while link.connect_ex("watcher"):
            time.sleep(0.005)
        os.dup2(link.fileno(), 200)
    link = socket.socket(fileno=200)
    begin(1, text)
    recorder.words[0] = 1
    link.sendall(text.encode())
    link.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def watcher(deaths: int) -> None:
    """Ask for what a victim had as soon as its connection ends, as a broker would hand it out."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("watcher")
        server.listen()
        for _ in range(deaths):
            link, _ = server.accept()
            text = link.recv(64).decode()
            link.sendall(b"!")
            link.recv(1)
            ask(1, text)
            answered()
            link.close()


def step(verb: str, *arguments: Any) -> None:
    match verb:
        case "begin":
            begin(*arguments)
        case "hub":
            recorder.words[0] = arguments[0]
        case "ask":
            ask(*arguments)
        case "answered":
            answered(*arguments)
        case "settled":
            say(AdmissionClosed(arguments[0], key(arguments[1]).hex()))
            recorder.row(arguments[0]).end()
        case "given back":
            say(AdmissionClosed(arguments[0], key(arguments[1]).hex(), back=True))
        case "exit":
            os._exit(arguments[0])
        case "signal":
            os.kill(os.getpid(), getattr(signal, arguments[0]))
        case "eat":
            eaten = ctypes.create_string_buffer(arguments[0] << 20)
            ctypes.memset(eaten, 1, len(eaten))
            signal.pause()  # and keep it: the parent may be late
        case "wait":
            signal.pause()
        case "write":
            Path(arguments[0]).write_text(arguments[1])
        case "touch":
            open(arguments[0], "w").close()
        case "await":
            while not os.path.exists(arguments[0]):
                time.sleep(0.01)
        case "sleep":
            time.sleep(arguments[0])
        case "beat":
            threading.Thread(target=beat, daemon=True).start()
        case "tell":
            while recorder.words[2] == recorder.words[3]:
                time.sleep(0.01)
            recorder.words[3] = recorder.words[2]
            line = json.dumps({"event": "stacks told", "child": os.getpid()})
            os.write(2, f"{line}\n".encode())  # in one piece: others write there, too
        case "victim":
            victim(f"m{number}")
        case "watcher":
            watcher(*arguments)


def beat() -> None:
    while True:
        say(Heartbeat())
        time.sleep(0.05)


with open(os.environ["CHILD_STARTS"], "a+") as starts:
    starts.write(f"{os.getpid()}\n")
    starts.flush()  # before it is counted: of two that start together each has its own place
    starts.seek(0)
    number = starts.read().split().index(str(os.getpid()))
say(ChildStarted(os.getpid()))
say(ChildReady())
lives = json.loads(os.environ["CHILD"])
for verb, *arguments in lives[min(number, len(lives) - 1)]:
    step(verb, *arguments)
signal.pause()
