from __future__ import annotations

import pytest

from tests.sync.caldav_suite import CaldavSuite


class TestRadicale(CaldavSuite):
    @pytest.fixture
    def kind(self) -> str:
        return "radicale"
