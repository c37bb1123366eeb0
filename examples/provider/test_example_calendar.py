"""The example keeps Kalends' contract for providers: `pytest` in this folder, with both of them installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from example_calendar import ExampleProvider
from example_folders import Folders

from kalends.contracts.building import make_event
from kalends.contracts.provider_contract import Kept
from kalends.contracts.reading_contract import Person, ReadingContract, nothing_known, read
from kalends.contracts.surroundings import surroundings
from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from kalends.domain.plain import from_plain, to_plain
from providers.errors import CalendarGone, Gone
from providers.interface import Outgoing, Provider, RemoteCalendar, RemoteEvent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run on asyncio, as Kalends does."""
    return "asyncio"


class Someone:
    """A person who has other programs write to the folder."""

    def __init__(self) -> None:
        self.folders = Folders()

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        name = uuid7().hex
        await self.folders.put(calendar.remote_id, name, to_plain(state) | {"uid": f"{name}@example.org"})
        return name

    async def rename(self, calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        file = await self.folders.get(calendar.remote_id, remote_id)
        await self.folders.put(calendar.remote_id, remote_id, file.body | {"summary": summary}, file.etag)

    async def remove(self, calendar: RemoteCalendar, remote_id: str) -> None:
        await self.folders.remove(calendar.remote_id, remote_id, None)


class TestExample(ReadingContract):
    deleted_names_come_back = True  # a file that is deleted leaves nothing behind
    invites = False

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("EXAMPLE_CALENDARS", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def provider(self, home: Path) -> Provider:
        return ExampleProvider(surroundings())

    @pytest.fixture
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> Provider:
        monkeypatch.setenv("EXAMPLE_CALENDARS", "/nowhere")
        return ExampleProvider(surroundings())

    @pytest.fixture
    def calendar(self, home: Path) -> RemoteCalendar:
        return RemoteCalendar(uuid7(), uuid7(), "work")

    @pytest.fixture
    def closed_calendar(self, home: Path) -> RemoteCalendar:
        (home / "closed").touch()  # a file, where the calendar's folder would be
        return RemoteCalendar(uuid7(), uuid7(), "closed")

    @pytest.fixture
    def person(self, home: Path) -> Person:
        return Someone()

    @pytest.fixture
    def kept(self, home: Path) -> Kept:
        async def look(calendar: RemoteCalendar, copy: RemoteEvent) -> EventState | None:
            try:
                return from_plain((await Folders().get(calendar.remote_id, copy.remote_id)).body)
            except Gone:
                return None

        return look

    # Beside the contract

    async def test_a_folder_that_is_not_there_is_no_empty_calendar(
        self, provider: Provider, calendar: RemoteCalendar, home: Path
    ) -> None:
        shutil.move(home, f"{home}.unplugged")
        with pytest.raises(CalendarGone):
            await read(provider, calendar)

    async def test_files_that_are_no_events_are_reported_and_the_rest_is_read(
        self, provider: ExampleProvider, calendar: RemoteCalendar, person: Person, home: Path
    ) -> None:
        event = to_plain(make_event(uuid7()).state)
        files = {
            "half": '{"summ',
            "list": "[]",
            "long": json.dumps(event | {"summary": "s" * 10_000}),
            "number": json.dumps(event | {"summary": 7}),
            "title": '{"summary": "Only a title"}',
        }
        name = await person.add(calendar, from_plain(event))
        for wrong, text in files.items():
            (home / calendar.remote_id / f"{wrong}.json").write_text(text)
        pages = [page async for page in provider.changes(calendar, None, nothing_known)]
        assert sorted(each.name for page in pages for each in page.broken) == list(files)
        there = {each.remote_id: each.state is not None for page in pages for each in page.events}
        assert there == dict.fromkeys(files, False) | {name: True}

    async def test_a_duplicate_of_a_copy_is_an_event_of_its_own(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, home: Path
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        folder = home / calendar.remote_id
        shutil.copy(folder / f"{copy.remote_id}.json", folder / "duplicate.json")
        found = (await read(provider, calendar)).alive
        ours = {name: each.event_id for name, each in found.items()}
        assert ours == {copy.remote_id: outgoing.event.id, "duplicate": None}
