"""The suites that every provider passes; see `provider_contract` and `reading_contract`.

They are installed with Kalends as `kalends.contracts`, for providers that are distributions of their own.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.provider_contract", f"{__name__}.reading_contract")
