"""The suite that every provider passes; see `provider_contract`."""

import pytest

pytest.register_assert_rewrite("tests.contracts.provider_contract")
