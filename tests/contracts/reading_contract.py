"""What every provider whose events come to us must do, as tests. A subclass is a `ProviderContract` too.

    class TestSandbox(ReadingContract):
        @pytest.fixture
        def person(self, ...) -> Person: ...

What a person does at the provider, past ours, is done by the fixture `person`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar, Protocol

import pytest

from kalends.domain.events import EventState, EventStatus, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from providers.errors import ProviderError, TokenExpired
from providers.interface import Known, Outgoing, Provider, Reads, RemoteCalendar, RemoteEvent

from .building import DAY, NOW, make_event
from .provider_contract import EVENTS, ProviderContract, outgoing_for, revised


class Person(Protocol):
    """Somebody who uses the provider's own calendar."""

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        """Add an event and return its remote id."""
        ...

    async def rename(self, calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        """Give an event another title."""
        ...

    async def remove(self, calendar: RemoteCalendar, remote_id: str) -> None:
        """Delete an event."""
        ...


@dataclass(frozen=True)
class Round:
    """What one round of `changes` has told."""

    events: Mapping[str, RemoteEvent]
    pages: int
    token: str
    whole: bool

    @property
    def alive(self) -> dict[str, RemoteEvent]:
        return {name: event for name, event in self.events.items() if not event.deleted}


async def nothing_known(_names: Sequence[str]) -> Mapping[str, str]:
    return {}


async def read(
    provider: Provider, calendar: RemoteCalendar, token: str | None = None, known: Known = nothing_known
) -> Round:
    """Read until the last page; of an event that comes twice, the last counts."""
    assert isinstance(provider, Reads)
    events: dict[str, RemoteEvent] = {}
    pages, last = 0, None
    async for page in provider.changes(calendar, token, known):
        assert last is None, "a page came after the one with the token"
        assert page.broken == ()
        pages += 1
        events |= {event.remote_id: event for event in page.events}
        last = page if page.token is not None else None
    assert last is not None, "no page had a token"
    assert last.token is not None
    return Round(events, pages, last.token, last.whole)


class ReadingContract(ProviderContract):
    """The suite for providers that are also `Reads`."""

    window: ClassVar[timedelta | None] = None
    """How far from now the provider looks; None for ever."""

    pages_of: ClassVar[int] = 20
    """How many events there are in the test of many; more than one page, where pages can be made small."""

    unreadable: ClassVar[frozenset[str]] = frozenset()
    """Kinds of events that a person cannot make there."""

    @pytest.fixture
    def person(self) -> Person:
        """Somebody who uses the provider's own calendar."""
        raise NotImplementedError

    async def test_it_reads(self, provider: Provider) -> None:
        assert isinstance(provider, Reads)

    async def test_without_a_token_a_round_is_whole_and_of_an_empty_calendar_empty(
        self, provider: Provider, calendar: RemoteCalendar
    ) -> None:
        found = await read(provider, calendar)
        assert found.whole
        assert found.alive == {}

    @pytest.mark.parametrize("kind", EVENTS)
    async def test_every_kind_of_event_that_a_person_makes_is_read_as_it_is(
        self, provider: Provider, calendar: RemoteCalendar, person: Person, owner: str, kind: str
    ) -> None:
        if kind in self.unreadable:
            return
        event = make_event(uuid7(), **EVENTS[kind])
        expected = provider.expected(outgoing_for(event, owner=owner))
        content = replace(event.content, send_invitations=False)  # a person's own calendar has no such word
        name = await person.add(calendar, replace(event.state, content=content))
        found = (await read(provider, calendar)).alive
        if expected is None:
            assert found == {}
            return
        assert set(found) == {name}
        assert same(found[name].state, expected)
        assert found[name].uid

    async def test_our_own_copies_are_recognised(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        found = (await read(provider, calendar)).events[copy.remote_id]
        assert (found.etag, found.event_id) == (copy.etag, outgoing.event.id)
        assert same(found.state, copy.state)

    async def test_a_token_leads_to_what_has_changed_since_and_to_nothing_else(
        self, provider: Provider, calendar: RemoteCalendar, person: Person
    ) -> None:
        names = [await person.add(calendar, make_event(uuid7(), NOW + number * DAY).state) for number in range(4)]
        first = await read(provider, calendar)
        assert set(first.alive) == set(names)
        await person.rename(calendar, names[1], "Renamed")
        await person.remove(calendar, names[2])
        added = await person.add(calendar, make_event(uuid7(), summary="Added").state)
        second = await read(provider, calendar, first.token)
        assert not second.whole
        assert set(second.events) == {names[1], names[2], added}
        assert second.events[names[2]].deleted
        renamed = second.events[names[1]].state
        assert renamed is not None
        assert renamed.content.summary == "Renamed"
        third = await read(provider, calendar, second.token)
        assert third.events == {}

    async def test_an_event_that_came_and_went_between_two_looks_is_nothing_or_deleted(
        self, provider: Provider, calendar: RemoteCalendar, person: Person
    ) -> None:
        token = (await read(provider, calendar)).token
        name = await person.add(calendar, make_event(uuid7()).state)
        await person.remove(calendar, name)
        assert (await read(provider, calendar, token)).alive == {}

    async def test_many_events_come_in_pages_each_of_them_once(
        self, provider: Provider, calendar: RemoteCalendar, person: Person
    ) -> None:
        names = {
            await person.add(calendar, make_event(uuid7(), NOW + number * DAY, summary=f"Number {number}").state)
            for number in range(self.pages_of)
        }
        found = await read(provider, calendar)
        assert set(found.alive) == names
        assert all(event.state is not None for event in found.alive.values())

    async def test_a_series_is_read_whole_after_a_change_of_one_of_its_occurrences(
        self, provider: Provider, calendar: RemoteCalendar, owner: str
    ) -> None:
        if not provider.capabilities.recurrence:
            return
        outgoing = outgoing_for(make_event(uuid7(), **EVENTS["every week"]), owner=owner)
        copy = await provider.create(calendar, outgoing)
        token = (await read(provider, calendar)).token
        differs = make_event(uuid7(), **EVENTS["with an occurrence that differs"])
        changed = replace(outgoing, event=outgoing.event.became(differs.state, at=NOW))
        await provider.update(calendar, changed, copy)
        found = (await read(provider, calendar, token)).events
        assert set(found) == {copy.remote_id}
        assert same(found[copy.remote_id].state, provider.expected(changed))

    async def test_a_token_that_is_none_asks_for_a_whole_round(
        self, provider: Provider, calendar: RemoteCalendar
    ) -> None:
        with pytest.raises(TokenExpired):
            await read(provider, calendar, "no-such-token")

    async def test_what_is_known_already_may_come_without_what_it_says(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        other = await provider.create(calendar, outgoing_for(make_event(uuid7(), NOW + DAY)))

        async def known(names: Sequence[str]) -> dict[str, str]:
            return {copy.remote_id: copy.etag, other.remote_id: '"another"'} if copy.remote_id in names else {}

        found = (await read(provider, calendar, known=known)).alive
        assert set(found) == {copy.remote_id, other.remote_id}
        assert found[copy.remote_id].etag == copy.etag
        assert found[other.remote_id].state is not None

    async def test_an_answer_of_the_owners_and_a_cancellation_come_back(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        for change in ({"partstat": Partstat.TENTATIVE}, {"status": EventStatus.TENTATIVE}):
            changed = revised(outgoing, **change)
            copy = await provider.update(calendar, changed, copy)
            found = (await read(provider, calendar)).events[copy.remote_id]
            assert same(found.state, provider.expected(changed))

    async def test_a_calendar_that_we_may_not_see_is_an_error_and_not_an_empty_one(
        self, provider: Provider, closed_calendar: RemoteCalendar
    ) -> None:
        with pytest.raises(ProviderError) as caught:
            await read(provider, closed_calendar)
        assert not isinstance(caught.value, TokenExpired)
