"""Every module with public names is on a page of the reference."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.modules import MODULES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

# Their names are for the package itself; pages speak of what they do.
INSIDE = {
    "child": "a child's own entry: what a user may say to it is the command line of kombu-worker",
    "dead_letters": "the verb ``kombu-worker dead``, described with the launcher",
    "cli": "the command line, described with the launcher",
    "config": "what a file may say is described on the page that is made of the declarations",
    "launcher": "the parent, described as a whole",
    "storage.memory": "behind MemoryStore",
    "storage.sqlalchemy": "behind SQLAlchemyStore",
    "testing": "the suites are offered by the package itself",
    "transport.amqp": "behind open_amqp",
    "transport.virtual": "behind VirtualTransport",
    "worker": "behind Worker",
}


def described() -> set[str]:
    pages = "\n".join(page.read_text() for page in REFERENCE.glob("*.rst"))
    return set(re.findall(r"^\.\. automodule:: (\S+)$", pages, re.MULTILINE))


def test_every_public_module_is_on_a_reference_page() -> None:
    named = described()
    public = [module.name for module in MODULES if not module.within(*INSIDE) and "__all__" in module.path.read_text()]
    missing = [name for name in public if name not in named]
    assert missing == ["kombu_green"], "only the root's names are at home elsewhere"


def test_reference_pages_name_existing_modules() -> None:
    names = {module.name for module in MODULES}
    assert described() <= names
    assert {f"kombu_green.{name}" for name in INSIDE} <= names
