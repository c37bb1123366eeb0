"""What of the contract fits a provider that is only read: everything that a person publishes is read as it is."""

from __future__ import annotations

from typing import cast

import pytest

from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from providers.errors import ProviderError, TokenExpired
from providers.ical.people import Owner
from providers.ical.write import kept
from providers.ics import IcsProvider
from providers.interface import (
    Capabilities,
    ConnectsByAddress,
    ConnectsByOAuth,
    ConnectsByPassword,
    Hints,
    ListsCalendars,
    Provider,
    Reads,
)
from tests.contracts.provider_contract import EVENTS, OWNER
from tests.contracts.reading_contract import read
from tests.helpers import make_event
from tests.providers.caldav.oracle import to_ics
from tests.providers.ics.publisher import Publisher, Stage
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio


async def test_it_is_a_provider_that_reads_and_is_opened_by_an_address() -> None:
    provider = IcsProvider(surroundings())
    assert all(isinstance(provider, each) for each in (Provider, Reads, ListsCalendars, ConnectsByAddress))
    assert not any(isinstance(provider, each) for each in (Hints, ConnectsByOAuth, ConnectsByPassword))
    assert isinstance(provider.capabilities, Capabilities)
    assert (provider.name, provider.capabilities.remote, provider.capabilities.writes) == ("ics", True, False)


@pytest.mark.parametrize("kind", EVENTS)
async def test_every_kind_of_event_that_a_person_publishes_is_read_as_it_is(kind: str) -> None:
    event = make_event(uuid7(), **EVENTS[kind])
    stage = Stage(Publisher(to_ics(event.state, "the-uid")))
    found = (await read(cast("Provider", stage.provider), stage.calendar)).alive
    assert set(found) == {"the-uid"}
    assert same(found["the-uid"].state, kept(event.state, Owner(OWNER)))


async def test_without_a_token_a_round_is_whole_and_of_an_empty_calendar_empty() -> None:
    stage = Stage(Publisher())
    found = await read(cast("Provider", stage.provider), stage.calendar)
    assert found.whole
    assert found.events == {}


async def test_a_token_that_is_none_asks_for_a_whole_round() -> None:
    stage = Stage(Publisher())
    with pytest.raises(TokenExpired):
        await read(cast("Provider", stage.provider), stage.calendar, "no-such-token")


async def test_a_calendar_that_we_may_not_see_is_an_error_and_not_an_empty_one() -> None:
    stage = Stage(Publisher(status=403))
    with pytest.raises(ProviderError) as caught:
        await read(cast("Provider", stage.provider), stage.calendar)
    assert not isinstance(caught.value, TokenExpired)
