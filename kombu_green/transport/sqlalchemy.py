"""``sqla+sqlite:///FILE``: queues in a database, shared by processes and durable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu_green.exceptions import UnsupportedOption
from kombu_green.storage.sqlalchemy import ANSWER_TIMEOUT, SQLAlchemyStore
from kombu_green.transport.schemes import check_options, positive_seconds
from kombu_green.transport.virtual import DEFAULT_LEASE, VirtualTransport
from kombu_green.url import BrokerURL

__all__ = ["open_sqlalchemy"]


def open_sqlalchemy(url: BrokerURL, options: Mapping[str, Any]) -> VirtualTransport:
    """A transport to the database.  Missing tables are created when it connects.

    Options, in seconds: ``lease``, and ``answer_timeout`` (30), after which a call that waits for the lock of another
    program raises :exc:`~kombu_green.exceptions.ConnectionLost`.
    """
    found = check_options(url.scheme, options, {"lease": positive_seconds, "answer_timeout": positive_seconds})
    if url.rest is None:
        raise UnsupportedOption(f"{url}: name the database: {url.scheme}+sqlite:///path/to/file.db")
    open_store = partial(SQLAlchemyStore, url.rest, answer_timeout=found.get("answer_timeout", ANSWER_TIMEOUT))
    return VirtualTransport(open_store, found.get("lease", DEFAULT_LEASE))
