"""The peers by name.  Their modules import drivers that only their own environments have, so none is imported here."""

from __future__ import annotations

from benchmarks.contract import Peer

__all__ = ["PEERS"]

_ALL = (
    Peer(
        "kombu_green",
        "benchmarks.peers.kombu_green",
        patched=True,
        distributions=("gevent", "orjson", "SQLAlchemy"),
    ),
    Peer(
        "kombu-gevent",
        "benchmarks.peers.kombu",
        patched=True,
        lock="kombu.txt",
        distributions=("kombu", "gevent", "SQLAlchemy"),
    ),
    Peer("kombu", "benchmarks.peers.kombu", lock="kombu.txt", distributions=("kombu", "SQLAlchemy")),
    Peer("raw", "benchmarks.peers.raw"),
)

PEERS = {peer.name: peer for peer in _ALL}
