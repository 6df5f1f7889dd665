"""README's table has every transport with its capabilities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kombu_green import Connection
from kombu_green.capabilities import Capabilities
from kombu_green.transport import schemes

README = Path(__file__).parents[2] / "README.rst"
YES = {True: "yes", False: "no"}


def table() -> list[Mapping[str, str]]:
    """The rows of the section's list-table, by column."""
    section = README.read_text().partition("\nTransports\n")[2].partition("\nMore\n")[0]
    rows: list[list[str]] = []
    for line in section.splitlines():
        if found := re.fullmatch(r"   (?P<first>\*| ) - (?P<cell>.*)", line):
            if found["first"] == "*":
                rows.append([])
            rows[-1].append(found["cell"])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def row(can: Capabilities) -> dict[str, str]:
    return {
        "durable": YES[can.durable],
        "shared by processes": YES[can.shared],
        "priorities": "0 to 9" if can.priorities else "no",
        "delay": YES[can.delay],
        "TTL": YES[can.ttl],
        "order": "first in, first out" if can.fifo else "none",
        "wake-up": can.wakeup,
    }


@pytest.mark.parametrize("said", table(), ids=lambda said: said["transport"])
def test_a_row_shows_the_capabilities_of_the_transport(said: Mapping[str, str], tmp_path: Path) -> None:
    url = said["URL"].strip("`").replace("NAME", str(tmp_path.name)).replace("FILE", f"{tmp_path}/broker.db")
    with Connection(url) as connection:
        # what a server can do is known without asking one; a store's abilities are known when it is open
        transport = connection.create_transport() if url.startswith("amqp:") else connection.connect()
        assert row(transport.capabilities).items() <= said.items()


def test_every_transport_has_a_row() -> None:
    def transports(names: list[str]) -> set[object]:
        return {schemes.opener(name) for name in names}

    shown = [re.split(r"[+:]", row["URL"].strip("`"))[0] for row in table()]
    assert transports(shown) == transports(list(schemes._BUILTIN))


def test_an_installed_transport_is_found_by_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``docs/guides/a-transport-of-your-own.rst`` says of the entry point."""
    installed = tmp_path / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[kombu_green.transports]\nmine = kombu_green.transport.memory:open_memory\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with Connection("mine://here") as connection:
        assert connection.connect().connected
