from __future__ import annotations

import sys

import pytest

from kombu_green.connection import Connection
from kombu_green.exceptions import PluginError, UnsupportedOption
from kombu_green.transport.memory import open_memory
from kombu_green.transport.schemes import check_options, opener, opener_by_name
from kombu_green.transport.sqlalchemy import open_sqlalchemy
from kombu_green.transport.virtual import DEFAULT_LEASE
from kombu_green.url import BrokerURL


def test_a_name_and_a_dotted_path_name_the_same_function() -> None:
    assert opener("memory") is open_memory
    assert opener_by_name("memory") is open_memory
    assert opener_by_name("kombu_green.transport.memory:open_memory") is open_memory


def test_an_unknown_scheme_comes_with_a_suggestion() -> None:
    with pytest.raises(PluginError, match=r"'memroy'.*memory"):
        opener("memroy")


@pytest.mark.parametrize("scheme", ["amqps", "pyamqps"])
def test_a_scheme_with_tls_leads_nobody_to_the_one_without(scheme: str) -> None:
    with pytest.raises(PluginError, match="no other one encrypts") as caught:
        opener(scheme)
    assert "did you mean" not in str(caught.value)


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("kombu_green.transport.sqlalchemy")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("kombu_green.storage.sqlalchemy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(
        PluginError, match=r"transport 'sqla' needs 'sqlalchemy.*pip install 'kombu_green\[sqlalchemy\]'"
    ):
        opener("sqla")


def test_options_are_converted() -> None:
    assert check_options("x", {"lease": "2.5"}, {"lease": float}) == {"lease": 2.5}


def test_an_unknown_or_malformed_option_is_named() -> None:
    with pytest.raises(UnsupportedOption, match=r"'x' has no option 'leese'.*lease"):
        check_options("x", {"leese": 1}, {"lease": float})
    with pytest.raises(UnsupportedOption, match="option 'lease': 'long'"):
        check_options("x", {"lease": "long"}, {"lease": float})


def test_options_that_are_passed_to_all_transports_may_be_ignored() -> None:
    assert check_options("x", {"heartbeat": 10, "lease": 5}, {}) == {}


def test_stores_are_not_opened_before_they_connect() -> None:
    assert not open_memory(BrokerURL.parse("memory://x"), {}).connected
    transport = open_sqlalchemy(BrokerURL.parse("sqla+sqlite:////nowhere/x.db"), {"lease": 7})
    assert (transport.connected, transport.lease) == (False, 7.0)
    assert open_memory(BrokerURL.parse("memory://x"), {}).lease == DEFAULT_LEASE


def test_a_database_url_names_the_database() -> None:
    with pytest.raises(UnsupportedOption, match=r"name the database: sqla\+sqlite:///"):
        open_sqlalchemy(BrokerURL.parse("sqla://"), {})


def test_a_url_never_imports_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    for url in ("this.x://h", "this.x+sqlite:///h", "this:x://h"):
        with pytest.raises((PluginError, ValueError)):
            Connection(url).create_transport()
        assert "this" not in sys.modules, url


def test_a_path_in_a_url_is_refused_with_what_to_do() -> None:
    with pytest.raises(PluginError, match=r"'toy\.open_toy'.*transport='module:function'"):
        opener("toy.open_toy")


def test_transport_takes_a_path_or_a_name() -> None:
    for name in ("memory", "kombu_green.transport.memory:open_memory", "kombu_green.transport.memory.open_memory"):
        connection = Connection("here", transport=name)
        assert type(connection.create_transport()).__name__ == "VirtualTransport"
        assert connection.get_transport_cls() is open_memory
