"""Conformance suites for pytest: a store or a transport proves itself by subclassing one.

::

    from kombu_green.testing import StorageContract

    class TestMyStore(StorageContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "data")
"""

import pytest

pytest.register_assert_rewrite("kombu_green.testing.storage")

from kombu_green.testing.storage.contract import StorageContract  # noqa: E402  its asserts are rewritten first

__all__ = ["StorageContract"]
