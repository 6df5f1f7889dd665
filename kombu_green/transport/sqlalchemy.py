"""``sqla+sqlite:///FILE``: queues in a database, shared by processes and durable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu_green.exceptions import UnsupportedOption
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
from kombu_green.transport.schemes import check_options
from kombu_green.transport.virtual import DEFAULT_LEASE, VirtualTransport
from kombu_green.url import BrokerURL

__all__ = ["open_sqlalchemy"]


def open_sqlalchemy(url: BrokerURL, options: Mapping[str, Any]) -> VirtualTransport:
    """A transport to the database.  Option: ``lease`` (seconds).  Missing tables are created when it connects."""
    found = check_options(url.scheme, options, {"lease": float})
    if url.rest is None:
        raise UnsupportedOption(f"{url}: name the database: {url.scheme}+sqlite:///path/to/file.db")
    return VirtualTransport(partial(SQLAlchemyStore, url.rest), found.get("lease", DEFAULT_LEASE))
