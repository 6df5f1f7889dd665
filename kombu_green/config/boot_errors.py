"""A broker's refusal as a problem of the file: which line gives the address, or describes the queue that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kombu_green.config.problems import ConfigError, Problem
from kombu_green.config.settings import Settings
from kombu_green.exceptions import AccessRefused, PreconditionFailed
from kombu_green.url import mask, mask_url

__all__ = ["located"]


@contextmanager
def located(settings: Settings) -> Iterator[None]:
    """Turn what a broker refuses for good into :exc:`ConfigError` with the file and line that it is about.

    A wrong password or virtual host is a problem of ``[broker] url``, which is shown masked.  An entity that exists
    with other arguments is one of its section; a queue without one, of the consumer that takes its messages.
    """
    try:
        yield
    except AccessRefused as error:
        message = f"{mask_url(settings.broker.url)}: {mask(str(error))}"
        raise ConfigError([settings.problem("broker", "url", message)]) from error
    except PreconditionFailed as error:
        section, key = _section_of(str(error), settings)
        raise ConfigError([settings.problem(section, key, f"{mask_url(settings.broker.url)}: {error}")]) from error
    except ConfigError as error:
        if all(problem.where for problem in error.problems):
            raise
        raise ConfigError([_with_place(problem, settings) for problem in error.problems]) from error


def _with_place(problem: Problem, settings: Settings) -> Problem:
    if problem.where or not problem.section:
        return problem
    kind, _, name = problem.section.partition(":")
    section, key = (problem.section, problem.key) if kind != "queue" else _queue_section(name, settings)
    return settings.problem(section, key, problem.message)


def _section_of(text: str, settings: Settings) -> tuple[str, str]:
    """Section and key of the queue or exchange that a broker's *text* names; of the URL if it names none."""
    for name in {*settings.queues, *(queue for consumer in settings.consumers.values() for queue in consumer.queues)}:
        if f"queue {name!r}" in text:
            return _queue_section(name, settings)
    for name in settings.exchanges:
        if f"exchange {name!r}" in text:
            return f"exchange:{name}", ""
    return "broker", "url"


def _queue_section(name: str, settings: Settings) -> tuple[str, str]:
    if name in settings.queues:
        return f"queue:{name}", ""
    consumer = next((one.name for one in settings.consumers.values() if name in one.queues), None)
    return (f"queue:{name}", "") if consumer is None else (f"consumer:{consumer}", "queue")
