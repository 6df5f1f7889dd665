"""Modules and classes are named in the words of docs/guides/terms.rst, and each name stands once."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.support.modules import MODULES, Module

#: words that need a key to be understood, and what is said in their place
METAPHORS = {
    "inquest": "admission",
    "blame": "death rules",
    "ledger": "records, unacked",
    "credit": "restart budget",
    "verger": "-",
    "tenant": "child",
    "place": "process slot",
    "reception": "status server",
    "visitor": "status connection",
    "enquiry": "status client",
    "renewal": "rolling restart",
    "bulletin": "change file",
    "newsroom": "change watcher",
    "bell": "wake-ups",
    "burial": "dead letter",
    "bury": "dead-letter",
    "revive": "return",
    "insist": "retry_call",
    "entrust": "settle_through",
    "hopeless": "permanent errors",
    "turnstile": "early ack",
    "spelling": "suggestions",
    "ground": "foundations",
    "home": "-",
    "doom": "termination",
    "vitals": "child status",
    "overstay": "long callback",
    "fence": "confirm_acks",
    "seat": "row",
    "lane": "pool",
    "stint": "-",
}
#: nouns that end like gerunds
NOUNS = {"routing", "messaging", "testing", "timing", "string", "logging", "heading"}
#: names that Python or kombu give: ``__init__`` and ``__main__``, and the module names of kombu's API
GIVEN = {"__init__", "__main__", "contract"}


def words(name: str) -> set[str]:
    """``StatusServer`` and ``status_server`` are both status and server."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def classes(module: Module) -> Iterator[str]:
    return (node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))


def last(module: Module) -> str:
    return module.path.stem


def named() -> Iterator[tuple[str, str]]:
    """Every name of a module, a package or a class, and where it stands."""
    for module in MODULES:
        yield from ((part, module.name) for part in module.name.split(".")[1:])
        yield from ((name, f"{module.name}:{name}") for name in classes(module))


def test_no_name_is_a_metaphor() -> None:
    found = {where: METAPHORS[word] for name, where in named() for word in words(name) & METAPHORS.keys()}
    assert found == {}, "say it in these words"


def test_modules_are_named_by_nouns() -> None:
    names = {last(module) for module in MODULES} - GIVEN
    assert sorted(name for name in names if re.search(r"ing$", name) and name not in NOUNS) == []


def test_a_class_name_stands_once() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for name in classes(module):
            found[name].append(module.name)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_a_module_name_stands_once_in_its_folder_tree() -> None:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in MODULES:
        floor = module.name.split(".")[1] if module.name.count(".") else ""
        if last(module) not in GIVEN:
            found[floor, last(module)].append(module.name)
    assert [names for names in found.values() if len(names) > 1] == []
