"""A worker process that writes invalid lines between its messages, and half a message at the end of a write.

It exits when the launcher sends something.
"""

from __future__ import annotations

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--control-fd", type=int)
parser.add_argument("--lifeline-fd", type=int)
parser.add_argument("--recorder-fd", type=int)
parser.add_argument("--protocol")
given = parser.parse_args()
control = socket.socket(fileno=given.control_fd)
control.sendall(b'noise\n\n{"note": "sing"}\n{"note": "rea')
control.sendall(b'dy"}\n' + b"x" * 300_000 + b"\n")
control.sendall(b'{"note": "heartbeat"}\n')
control.recv(4096)
