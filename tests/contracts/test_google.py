from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.google import GoogleProvider
from providers.interface import Provider, RemoteCalendar
from tests.contracts.provider_contract import Kept
from tests.contracts.reading_contract import Person, ReadingContract
from tests.providers.google.stage import ADA, Stage
from tests.providers.surroundings import surroundings


class TestGoogle(ReadingContract):
    deleted_names_come_back = False
    pages_of = 23

    @pytest.fixture
    async def stage(self) -> AsyncIterator[Stage]:
        stage = Stage(page_size=5)
        await stage.connect()
        yield stage
        assert stage.desk.violations == []

    @pytest.fixture
    def provider(self, stage: Stage) -> Provider:
        return stage.provider

    @pytest.fixture
    def offline(self) -> Provider:
        return GoogleProvider(surroundings())

    @pytest.fixture
    def calendar(self, stage: Stage) -> RemoteCalendar:
        return stage.calendar

    @pytest.fixture
    def closed_calendar(self, stage: Stage) -> RemoteCalendar:
        return stage.calendar_named("eve@example.org")

    @pytest.fixture
    def owner(self) -> str:
        return ADA

    @pytest.fixture
    def person(self, stage: Stage) -> Person:
        return stage

    @pytest.fixture
    def kept(self, stage: Stage) -> Kept:
        return stage.kept
