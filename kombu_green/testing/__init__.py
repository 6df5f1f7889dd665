"""Tests for stores, transports and services of your own, to run with pytest.

Subclass a suite for a store or a transport, call :func:`stress_service` for a service, and break the network of a
client with :class:`FaultProxy`.

::

    from kombu_green.testing import StorageContract, stress_service

    class TestMyStore(StorageContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "data")

    def test_my_service():
        stress_service(MyService)
"""

import pytest

pytest.register_assert_rewrite("kombu_green.testing.storage", "kombu_green.testing.transport")

from kombu_green.testing.proxy import FaultProxy, Way  # noqa: E402
from kombu_green.testing.services import stress_service  # noqa: E402
from kombu_green.testing.storage import StorageContract  # noqa: E402  asserts are rewritten at its import
from kombu_green.testing.transport import TransportContract  # noqa: E402

__all__ = ["FaultProxy", "StorageContract", "TransportContract", "Way", "stress_service"]
