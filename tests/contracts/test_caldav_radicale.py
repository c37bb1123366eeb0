from __future__ import annotations

import pytest

from tests.providers.caldav.suite import CaldavContract
from tests.servers import Server, radicale

__all__ = ["radicale"]


class TestRadicale(CaldavContract):
    stale_token = f"http://radicale.org/ns/sync/{'0' * 64}"

    @pytest.fixture
    def server(self, radicale: Server) -> Server:
        return radicale
