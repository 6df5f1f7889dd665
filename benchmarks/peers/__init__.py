"""The peers by name.  Their modules import drivers that only their own environments have, so none is imported here."""

from __future__ import annotations

from benchmarks.contract import Peer

__all__ = ["PEERS"]

_KOMBU = ("kombu", "amqp", "SQLAlchemy")

_ALL = (
    Peer(
        "kombu_green",
        "benchmarks.peers.kombu_green",
        patched=True,
        distributions=("gevent", "amqp", "orjson", "SQLAlchemy"),
    ),
    Peer(
        "kombu_green-unrecorded",
        "benchmarks.peers.kombu_green_unrecorded",
        patched=True,
        distributions=("gevent", "amqp", "orjson"),
    ),
    Peer(
        "kombu-gevent",
        "benchmarks.peers.kombu",
        patched=True,
        lock="kombu.txt",
        distributions=(*_KOMBU, "gevent"),
    ),
    Peer("kombu", "benchmarks.peers.kombu", lock="kombu.txt", distributions=_KOMBU),
    Peer(
        "pika-gevent", "benchmarks.peers.pika_gevent", patched=True, lock="pika.txt", distributions=("pika", "gevent")
    ),
    Peer("pika", "benchmarks.peers.pika", lock="pika.txt", distributions=("pika",)),
    Peer(
        "dramatiq-gevent",
        "benchmarks.peers.dramatiq",
        patched=True,
        lock="dramatiq.txt",
        distributions=("dramatiq", "pika", "gevent"),
    ),
    Peer(
        "celery-gevent",
        "benchmarks.peers.celery",
        patched=True,
        lock="celery.txt",
        distributions=("celery", "kombu", "amqp", "gevent"),
    ),
    Peer("raw", "benchmarks.peers.raw"),
    Peer("probe", "benchmarks.peers.probe", patched=True, distributions=("gevent", "orjson")),
)

PEERS = {peer.name: peer for peer in _ALL}
