"""How far a reader has to jump to follow one message: counted on a real worker, call by call.

A *stay* is a run of calls within one module, a *return* a stay in a module that was left before, and a *climb* a call
of a module that itself imports the one that calls.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby

from grimp import build_graph

from tests.support.path_of_a_message import Call, traced
from tests.support.rabbitmq import RabbitMQ

RUNTIME = ("kombu_green.worker", "kombu_green.dispatch")


def dispatched(calls: list[Call]) -> list[Call]:
    """The calls within worker and dispatch, from that of ``Dispatcher.dispatch`` on."""
    slot = next(call.greenlet for call in calls if call.function == "dispatch")
    own = [call for call in calls if call.greenlet == slot and call.module.startswith(RUNTIME)]
    return own[next(at for at, call in enumerate(own) if call.function == "dispatch") :]


@cache
def imports(importer: str, imported: str) -> bool:
    return build_graph("kombu_green").chain_exists(importer, imported)


def test_a_message_is_followed_without_going_back_and_forth() -> None:
    calls = dispatched(traced("memory://path"))
    stays = [module for module, _ in groupby(call.module for call in calls)]
    assert stays[0] == "kombu_green.worker.dispatcher"
    assert stays[-1] == "kombu_green.worker.settler"
    assert len(stays) <= 8, stays
    assert len(stays) - len(set(stays)) <= 2, stays
    jumps = {(call.caller, call.module) for call in calls[1:] if call.caller != call.module}
    assert [jump for jump in jumps if imports(jump[1], jump[0])] == []


#: from the socket to the ack, with the codec of its body and all that a launcher adds (gate and recorder: three files)
MOST_FILES = 21


def test_from_socket_to_ack_it_passes_through_no_more_files_than_it_did(rabbitmq: RabbitMQ) -> None:
    calls = traced(rabbitmq.url)
    slot = next(call.greenlet for call in calls if call.function == "dispatch")
    reader = next(call.greenlet for call in calls if call.function == "give")
    files = {call.module for call in calls if call.greenlet in (slot, reader)}
    assert len(files) <= MOST_FILES, "\n".join(sorted(files))
