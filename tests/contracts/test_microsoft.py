from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from providers.interface import Provider, RemoteCalendar
from providers.microsoft import MicrosoftProvider
from tests.contracts.provider_contract import Kept
from tests.contracts.reading_contract import Person, ReadingContract
from tests.providers.microsoft.stage import Stage, lent, staged


class TestMicrosoft(ReadingContract):
    deleted_names_come_back = False
    pages_of = 45
    unreadable = frozenset(
        {
            "cancelled",  # whoever cancels a meeting has no such event any more
            "declined by the owner",  # nobody declines what they organize
            "with participants",  # they are mailed
            "with reminders",  # there is one
            "with dates added",
            "with long text",  # of a title
        }
    )

    @pytest.fixture
    async def stage(self) -> AsyncIterator[Stage]:
        async with staged() as stage:
            yield stage

    @pytest.fixture
    def provider(self, stage: Stage) -> Provider:
        return stage.built(page_size=20)

    @pytest.fixture
    def offline(self) -> Provider:
        return MicrosoftProvider(lent())

    @pytest.fixture
    def calendar(self, stage: Stage) -> RemoteCalendar:
        return stage.calendar

    @pytest.fixture
    def closed_calendar(self, stage: Stage) -> RemoteCalendar:
        return replace(stage.calendar, remote_id="AAkALgOfSomebodyElse")

    @pytest.fixture
    def person(self, stage: Stage) -> Person:
        return stage

    @pytest.fixture
    def kept(self, stage: Stage) -> Kept:
        return stage.kept


class TestMicrosoftAtItsWorst(TestMicrosoft):
    """What Graph does not promise is the other way round."""

    @pytest.fixture
    async def stage(self) -> AsyncIterator[Stage]:
        async with staged() as stage:
            await stage.behave(
                stale_status=409,
                finds_deleted=True,
                masters_in_delta=False,
                series_etag_tells=False,
                resets_exceptions=False,
                original_start=False,
                told_times=2,
                scope_prefix="",
            )
            yield stage
