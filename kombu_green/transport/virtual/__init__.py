"""AMQP's verbs over any store: routing, prefetch windows, dead letters, time to live.

One transport is one connection; its channels share its store.
"""
