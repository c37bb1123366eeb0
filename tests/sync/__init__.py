"""Engine and providers together: every world passes one suite; see `suite`."""

import pytest

pytest.register_assert_rewrite(
    "tests.sync.suite", "tests.sync.caldav_suite", "tests.sync.worlds.world", "tests.sync.history"
)
