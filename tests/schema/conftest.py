"""The server that the tests of this folder talk to."""

import pytest

from storage.engine import Database
from tests.api import House, Tenant, build_house
from tests.helpers import Clock


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a running server with two tenants."""
    return await build_house(database, clock)


@pytest.fixture
def ours(house: House) -> Tenant:
    """Return the tenant that tests act as."""
    return house.ours


@pytest.fixture
def theirs(house: House) -> Tenant:
    """Return another tenant, who must not matter."""
    return house.theirs
