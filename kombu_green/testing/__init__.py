"""Conformance suites for pytest: a store or a transport proves itself by subclassing one, a service by a trial; and a
proxy that breaks the network.

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
from kombu_green.testing.storage.contract import StorageContract  # noqa: E402  its asserts are rewritten first
from kombu_green.testing.transport.contract import TransportContract  # noqa: E402

__all__ = ["FaultProxy", "StorageContract", "TransportContract", "Way", "stress_service"]
