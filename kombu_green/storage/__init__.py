"""Stores: each keeps queues of messages, and hands them out under leases.

:mod:`.contract` says what a store must do; :mod:`.declaration_rules` and :mod:`.wakeups` are shared by stores.  Each
store is a package: :mod:`.memory`, :mod:`.sqlalchemy`.  ``kombu_green.transport.virtual`` makes AMQP of any of them.
"""
