from __future__ import annotations

import pytest

from tests.sync.caldav_suite import CaldavSuite


class TestXandikos(CaldavSuite):
    @pytest.fixture
    def kind(self) -> str:
        return "xandikos"
