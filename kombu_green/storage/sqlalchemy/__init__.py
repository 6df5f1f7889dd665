"""Queues in an SQL database: durable, and shared by processes.

:mod:`.store` is the store and its operations.  Each goes through :mod:`.group_commit` to :mod:`.database`, which runs a
group of them in one transaction.  :mod:`.catalog` knows queues, exchanges and bindings, :mod:`.message_rows` the
messages.  What differs from one database to another has a module of its own: :mod:`.sqlite`.
"""

from kombu_green.storage.sqlalchemy.store import ANSWER_TIMEOUT, SQLAlchemyStore

__all__ = ["ANSWER_TIMEOUT", "SQLAlchemyStore"]
