"""The contract against a real CalDAV server: what the suites of all servers share."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from providers.caldav import CaldavProvider
from providers.caldav.listing import BY_TOKEN
from providers.errors import AlreadyExists, BadAddress, TokenExpired, WrongCredentials
from providers.interface import (
    ConnectsByPassword,
    ListsCalendars,
    Opened,
    Outgoing,
    Provider,
    RemoteAccount,
    RemoteCalendar,
)
from providers.web import Web
from tests.contracts.provider_contract import OWNER, Kept, outgoing_for, revised
from tests.contracts.reading_contract import Person, ReadingContract, read
from tests.helpers import BERLIN, make_event
from tests.providers.caldav.oracle import Oracle, oracle
from tests.providers.surroundings import MemoryGrants, surroundings
from tests.servers import PASSWORD, USER, Server

BATCH = 7


class CaldavContract(ReadingContract):
    """The suite for a server, which a subclass's fixture `server` names."""

    deleted_names_come_back: ClassVar[bool] = True

    stale_token: ClassVar[str]
    """A token of the server's kind that it never gave out."""

    checks_passwords: ClassVar[bool] = True

    @pytest.fixture
    def server(self) -> Server:
        """The server."""
        raise NotImplementedError

    @pytest.fixture
    async def web(self, server: Server) -> AsyncIterator[Web]:
        """The way to it, past the guard."""
        web = Web(allowed=[server.address])
        yield web
        await web.close()

    @pytest.fixture
    def grants(self) -> MemoryGrants:
        return MemoryGrants()

    @pytest.fixture
    def provider(self, web: Web, grants: MemoryGrants) -> Provider:
        return CaldavProvider(surroundings(web=web, grants=grants), batch=BATCH)

    @pytest.fixture
    async def opened(self, provider: CaldavProvider, server: Server) -> Opened:
        """The account, opened as its owner does it."""
        return await provider.sign_in(url=server.url, username=USER, password=PASSWORD)

    @pytest.fixture
    def offline(self) -> Provider:
        return CaldavProvider(surroundings())

    @pytest.fixture
    def somebody(self, server: Server) -> Iterator[Oracle]:
        with oracle(server) as found:
            yield found

    @pytest.fixture
    async def calendar(self, somebody: Oracle, grants: MemoryGrants, opened: Opened) -> RemoteCalendar:
        account = uuid7()
        grants.grants[account] = opened.grant
        return RemoteCalendar(uuid7(), account, await somebody.calendar(), BERLIN, OWNER)

    @pytest.fixture
    def closed_calendar(self, calendar: RemoteCalendar, server: Server) -> RemoteCalendar:
        return RemoteCalendar(calendar.app_id, calendar.account_id, f"{server.home}nowhere/", BERLIN, OWNER)

    @pytest.fixture
    def kept(self, somebody: Oracle) -> Kept:
        return somebody.kept

    @pytest.fixture
    def person(self, somebody: Oracle) -> Person:
        return somebody

    # Accounts

    async def test_it_is_opened_by_a_password_and_lists_calendars(
        self, provider: Provider, calendar: RemoteCalendar
    ) -> None:
        assert isinstance(provider, ConnectsByPassword)
        assert isinstance(provider, ListsCalendars)
        assert calendar.account_id is not None
        listed = await provider.calendars(RemoteAccount(calendar.app_id, calendar.account_id))
        [found] = [each for each in listed if each.remote_id == calendar.remote_id]
        assert (found.read_only, found.tzid) == (False, None)

    async def test_an_account_is_found_from_its_home_as_well(self, provider: CaldavProvider, server: Server) -> None:
        whole = await provider.sign_in(url=server.url, username=USER, password=PASSWORD)
        home = await provider.sign_in(url=server.url + server.home, username=USER, password=PASSWORD)
        assert (home.subject, home.grant) == (whole.subject, whole.grant)
        assert home.grant.secrets["url"] == server.url + server.home

    async def test_a_wrong_password_and_a_wrong_server_are_told_apart(
        self, provider: CaldavProvider, server: Server
    ) -> None:
        if self.checks_passwords:
            with pytest.raises(WrongCredentials):
                await provider.sign_in(url=server.url, username=USER, password="wrong")
        with pytest.raises(BadAddress):
            await provider.sign_in(url="http://127.0.0.1:9/", username=USER, password=PASSWORD)

    # Beside the contract

    async def test_a_second_event_with_the_same_uid_is_never_made(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        with pytest.raises(AlreadyExists):
            await provider.create(calendar, outgoing_for(outgoing.event, generation=1))
        assert set((await read(provider, calendar)).alive) == {copy.remote_id}

    async def test_a_token_that_the_server_never_gave_out_asks_for_everything(
        self, provider: Provider, calendar: RemoteCalendar
    ) -> None:
        with pytest.raises(TokenExpired):
            await read(provider, calendar, BY_TOKEN + self.stale_token)

    async def test_what_nobody_knows_survives_a_change_of_ours(
        self, provider: Provider, calendar: RemoteCalendar, somebody: Oracle
    ) -> None:
        text = (
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//EN\r\nBEGIN:VEVENT\r\nUID:theirs\r\n"
            "DTSTAMP:20260501T080000Z\r\nDTSTART:20260504T070000Z\r\nDTEND:20260504T080000Z\r\nSUMMARY:Theirs\r\n"
            "X-SOMEBODYS;X-PARAMETER=1:value\r\nCATEGORIES:One,Two\r\nURL:https://example.org/\r\n"
            "ATTENDEE;CN=Bob B;ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED:mailto:bob@example.org\r\n"
            "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER;RELATED=END:-PT5M\r\nEND:VALARM\r\n"
            "END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
        await somebody.put(calendar, "theirs.ics", text)
        found = (await read(provider, calendar)).alive["theirs.ics"]
        assert found.state is not None
        event = make_event(uuid7())
        event = replace(event, uid="theirs", when=found.state.when, content=found.state.content)
        ours = replace(
            revised(outgoing_for(event), summary="Ours", description="New"), agreed=Agreement(found.state, found.state)
        )
        await provider.update(calendar, ours, found)
        after = await somebody.text(calendar, "theirs.ics")
        assert after is not None
        kept = (
            "X-SOMEBODYS;X-PARAMETER=1:value",
            "CATEGORIES:One,Two",
            "RELATED=END:-PT5M",
            "Bob B",
            "OPT-PARTICIPANT",
        )
        unfolded = re.sub(r"\r?\n[ \t]", "", after)
        assert [each for each in kept if each not in unfolded] == []
        assert "SUMMARY:Ours" in unfolded
