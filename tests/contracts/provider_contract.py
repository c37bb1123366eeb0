"""What every provider must do, as tests.

A provider's own tests subclass `ProviderContract` and say what to test it against:

    class TestSandbox(ProviderContract):
        deleted_names_come_back = False

        @pytest.fixture
        def provider(self, ...) -> Provider: ...

The fixtures `provider`, `offline`, `calendar`, `closed_calendar` and `kept` must be overridden, `owner` may be. Every
obligation is one that `providers/interface.py` states; a provider without `capabilities.remote` has few of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, ClassVar

import pytest

from kalends.domain.events import Attendee, Event, EventState, EventStatus, Partstat, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SyncWarning
from providers.errors import AlreadyExists, Gone, ProviderError, Stale
from providers.interface import Capabilities, Identity, Outgoing, Provider, RemoteCalendar, RemoteEvent

from .building import HOUR, NOW, WEEK, make_content, make_days, make_event, make_when, wall

Kept = Callable[[RemoteCalendar, RemoteEvent], Awaitable[EventState | None]]
"""Reads a copy where the provider keeps it, past the provider, in the domain's words; None where none is alive."""

OWNER = "ada@example.org"
GUESTS = (Attendee("bob@example.org"), Attendee("Chloé.Ünï@example.org", Partstat.TENTATIVE))
GENERATIONS = 4
STEPS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55)

EVENTS: dict[str, dict[str, Any]] = {
    "timed": {},
    "timed in another zone": {"when": make_when(NOW, HOUR, "America/New_York")},
    "over midnight and a change of the clocks": {"when": make_when(NOW.replace(month=10, day=24, hour=20), 8 * HOUR)},
    "all day": {"when": make_days()},
    "several days": {"when": make_days(date(2026, 12, 30), 4)},
    "transparent": {"transparent": True},
    "tentative": {"status": EventStatus.TENTATIVE},
    "cancelled": {"status": EventStatus.CANCELLED},
    "declined by the owner": {"partstat": Partstat.DECLINED, "attendees": (Attendee(OWNER, Partstat.DECLINED),)},
    "with participants": {"attendees": (Attendee(OWNER, Partstat.ACCEPTED), *GUESTS)},
    "with invitations": {"attendees": GUESTS, "send_invitations": True},
    "with metadata": {"metadata": {"crm": "4711", "note": "späť"}},
    "with text of every kind": {
        "summary": "Ünïcødé 日本語 🗓️ עברית <b>&amp;</b>",
        "location": "Straße 1; Raum «2», 3\\4",
        "description": 'several\nlines\n\n"quoted" \u2028 and a tab\t.',
    },
    "with long text": {"summary": "s" * 1024, "location": "l" * 1024, "description": "d" * 8192},
    "private": {"visibility": Visibility.PRIVATE},
    "confidential": {"visibility": Visibility.CONFIDENTIAL},
    "public": {"visibility": Visibility.PUBLIC},
    "without reminders": {"reminders": ()},
    "with a reminder": {"reminders": (10,)},
    "with reminders": {"reminders": (0, 10, 1440)},
    "every week": {"recurrence": Recurrence("FREQ=WEEKLY;COUNT=8")},
    "every weekday until a day": {"recurrence": Recurrence("FREQ=WEEKLY;UNTIL=20260630T070000Z;BYDAY=MO,TU,WE,TH,FR")},
    "every year, whole days": {"when": make_days(), "recurrence": Recurrence("FREQ=YEARLY;COUNT=3")},
    "with dates left out": {
        "recurrence": Recurrence("FREQ=DAILY;COUNT=9", exdates=frozenset({wall("2026-05-06T09:00")}))
    },
    "with dates added": {"recurrence": Recurrence("FREQ=WEEKLY;COUNT=4", rdates=frozenset({wall("2026-05-06T09:00")}))},
    "with an occurrence that differs": {
        "recurrence": Recurrence(
            "FREQ=WEEKLY;COUNT=6",
            overrides={
                wall("2026-05-11T09:00"): Override(make_when(NOW + WEEK + 2 * HOUR, HOUR), make_content("Moved")),
                wall("2026-05-18T09:00"): Override(make_when(NOW + 2 * WEEK), make_content("Renamed")),
            },
        )
    },
}
"""Kinds of events, as arguments of `make_event`. It begins on Monday, 2026-05-04, at 09:00 in Berlin."""


def outgoing_for(event: Event, *, generation: int = 0, owner: str | None = OWNER) -> Outgoing:
    return Outgoing(event, Identity(event.id, event.uid, generation), owner)


def revised(outgoing: Outgoing, **content: Any) -> Outgoing:
    """Return the next version of what is to be written."""
    event = outgoing.event
    return replace(
        outgoing, event=event.changed(when=event.when, content=replace(event.content, **content), at=event.updated_at)
    )


class ProviderContract:
    """The suite. Its tests have no order, and each leaves behind what it created."""

    pytestmark = pytest.mark.anyio

    deleted_names_come_back: ClassVar[bool] = False
    """Whether a name can be given again after its copy was deleted."""

    writes_whole: ClassVar[bool] = False
    """Whether an update replaces all that the copy says, and not only what differs from what was agreed."""

    invites: ClassVar[bool] = True
    """Whether anybody is mailed where invitations are asked for; of a provider that is not remote, nobody is."""

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider under test."""
        raise NotImplementedError

    @pytest.fixture
    def offline(self) -> Provider:
        """The same provider, built so that any input or output of its fails."""
        raise NotImplementedError

    @pytest.fixture
    def calendar(self) -> RemoteCalendar:
        """A calendar that the provider lets us write to."""
        raise NotImplementedError

    @pytest.fixture
    def closed_calendar(self) -> RemoteCalendar:
        """A calendar that it does not let us write to; for a provider that is not remote, any."""
        raise NotImplementedError

    @pytest.fixture
    def kept(self) -> Kept:
        """How to look at what the provider keeps, past the provider."""
        raise NotImplementedError

    @pytest.fixture
    def owner(self) -> str:
        """The address of the calendar's owner."""
        return OWNER

    @pytest.fixture
    def outgoing(self, owner: str) -> Outgoing:
        """An event to write."""
        return outgoing_for(make_event(uuid7(), attendees=GUESTS), owner=owner)

    @pytest.fixture
    def remote(self, provider: Provider) -> bool:
        """Whether the provider keeps copies elsewhere."""
        return provider.capabilities.remote

    # What it says of itself

    async def test_it_is_a_provider_with_a_name_and_capabilities(self, provider: Provider) -> None:
        assert isinstance(provider, Provider)
        assert provider.name == provider.name.strip().lower() != ""
        assert isinstance(provider.capabilities, Capabilities)

    # Saying what gets lost

    @pytest.mark.parametrize("kind", EVENTS)
    async def test_what_is_expected_differs_from_the_event_only_with_a_warning(
        self, offline: Provider, kind: str, remote: bool
    ) -> None:
        outgoing = outgoing_for(make_event(uuid7(), **EVENTS[kind]))
        plain = replace(outgoing.event.content, send_invitations=False)
        expected, warnings = offline.expected(outgoing), offline.warnings(outgoing)
        assert all(isinstance(each, SyncWarning) and each.message.endswith(".") for each in warnings)
        if not warnings:
            told = expected and replace(expected, content=replace(expected.content, send_invitations=False))
            assert same(told, replace(outgoing.event.state, content=plain))
        if not remote:
            assert not warnings

    @pytest.mark.parametrize(
        ("capability", "kind"),
        [
            ("keeps_cancelled", "cancelled"),
            ("keeps_tentative", "tentative"),
            ("keeps_metadata", "with metadata"),
            ("keeps_visibility", "confidential"),
            ("set_own_rsvp", "declined by the owner"),
            ("suppress_invites", "with participants"),
            ("recurrence", "every week"),
            ("rdates", "with dates added"),
        ],
    )
    async def test_what_it_declares_not_to_keep_has_a_warning_and_the_rest_has_none(
        self, offline: Provider, capability: str, kind: str
    ) -> None:
        warnings = offline.warnings(outgoing_for(make_event(uuid7(), **EVENTS[kind])))
        assert bool(warnings) is not getattr(offline.capabilities, capability)

    # Creating

    async def test_a_create_returns_the_copy(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        assert copy.remote_id
        assert copy.etag
        assert not copy.deleted
        assert same(copy.state, provider.expected(outgoing))
        if remote:
            assert same(await kept(calendar, copy), provider.expected(outgoing))

    async def test_a_repeated_create_never_makes_a_second_copy(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        changed = revised(outgoing, summary="Another text under the same name")
        if not remote:
            assert (await provider.create(calendar, changed)).remote_id == copy.remote_id
            return
        for repeated in (outgoing, changed):
            with pytest.raises(AlreadyExists):
                await provider.create(calendar, repeated)
        assert same(await kept(calendar, copy), provider.expected(outgoing))
        found = await provider.find(calendar, outgoing.identity, None)
        assert found is not None
        assert (found.remote_id, found.deleted) == (copy.remote_id, False)

    async def test_a_name_depends_on_the_event_and_its_generation_alone(self, outgoing: Outgoing) -> None:
        names = [replace(outgoing.identity, generation=each).key for each in range(GENERATIONS)]
        again = [Identity(outgoing.event.id, outgoing.event.uid, each).key for each in range(GENERATIONS)]
        assert names == again
        assert len(set(names)) == GENERATIONS
        assert replace(outgoing.identity, event_id=uuid7()).key not in names

    async def test_another_generation_is_another_copy(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        first = await provider.create(calendar, outgoing)
        second_outgoing = outgoing_for(outgoing.event, generation=1)
        if remote:
            await provider.delete(calendar, outgoing, first)
        second = await provider.create(calendar, second_outgoing)
        assert second.remote_id != first.remote_id
        if remote:
            found = await provider.find(calendar, second_outgoing.identity, None)
            assert found is not None
            assert (found.remote_id, found.deleted) == (second.remote_id, False)

    async def test_a_deleted_name_stays_taken_or_comes_back_as_declared(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        await provider.delete(calendar, outgoing, copy)
        if not remote or self.deleted_names_come_back:
            again = await provider.create(calendar, outgoing)
            assert not again.deleted
            return
        with pytest.raises(AlreadyExists):
            await provider.create(calendar, outgoing)
        assert await kept(calendar, copy) is None

    @pytest.mark.parametrize("kind", EVENTS)
    async def test_every_kind_of_event_goes_through_and_the_copy_equals_it(
        self, provider: Provider, calendar: RemoteCalendar, owner: str, kept: Kept, remote: bool, kind: str
    ) -> None:
        outgoing = outgoing_for(make_event(uuid7(), **EVENTS[kind]), owner=owner)
        copy = await provider.create(calendar, outgoing)
        if remote:
            assert same(await kept(calendar, copy), provider.expected(outgoing))

    @pytest.mark.parametrize("kind", EVENTS)
    async def test_every_kind_of_event_can_be_written_over_a_plain_one(
        self, provider: Provider, calendar: RemoteCalendar, owner: str, kept: Kept, remote: bool, kind: str
    ) -> None:
        plain = make_event(uuid7())
        wanted = {"when": plain.when, **EVENTS[kind]}
        state = EventState(
            wanted.pop("when"), recurrence=wanted.pop("recurrence", None), content=make_content(**wanted)
        )
        changed = plain.became(state, at=NOW)
        created = await provider.create(calendar, outgoing_for(plain, owner=owner))
        outgoing = replace(outgoing_for(changed, owner=owner), agreed=Agreement(plain.state, created.state))
        copy = await provider.update(calendar, outgoing, created)
        if remote:
            assert same(await kept(calendar, copy), provider.expected(outgoing))

    # Updating

    async def test_an_update_writes_over_the_copy_and_gives_it_another_etag(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        changed = revised(outgoing, summary="Changed", location="Elsewhere", description=None)
        updated = await provider.update(calendar, changed, copy)
        assert updated.remote_id == copy.remote_id
        assert updated.etag != copy.etag
        assert not updated.deleted
        if remote:
            assert same(await kept(calendar, updated), provider.expected(changed))

    async def test_an_update_with_another_etag_is_refused_and_changes_nothing(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        if not remote:
            return
        known = await provider.create(calendar, outgoing)
        current = await provider.update(calendar, revised(outgoing, summary="By somebody else"), known)
        with pytest.raises(Stale):
            await provider.update(calendar, revised(outgoing, summary="Ours"), known)
        theirs = revised(outgoing, summary="By somebody else")
        assert same(await kept(calendar, current), provider.expected(theirs))

    async def test_an_update_with_the_etag_found_after_a_refusal_goes_through(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        if not remote:
            return
        known = await provider.create(calendar, outgoing)
        await provider.update(calendar, revised(outgoing, summary="By somebody else"), known)
        found = await provider.find(calendar, outgoing.identity, known.remote_id)
        assert found is not None
        ours = revised(outgoing, summary="Ours")
        updated = await provider.update(calendar, ours, found)
        assert same(await kept(calendar, updated), provider.expected(ours))

    async def test_an_update_of_a_deleted_copy_is_refused(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        if not remote:
            return
        copy = await provider.create(calendar, outgoing)
        await provider.delete(calendar, outgoing, copy)
        with pytest.raises(Gone):
            await provider.update(calendar, revised(outgoing, summary="Too late"), copy)
        assert await kept(calendar, copy) is None

    async def test_an_update_of_a_copy_that_never_was_is_refused(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        if not remote:
            return
        other = await provider.create(calendar, outgoing_for(make_event(uuid7())))
        unknown = replace(other, remote_id=outgoing.identity.key)
        with pytest.raises(Gone):
            await provider.update(calendar, outgoing, unknown)

    async def test_a_cancelled_event_is_kept_or_deleted_as_declared(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        await provider.update(calendar, revised(outgoing, status=EventStatus.CANCELLED), copy)
        if remote:
            found = await provider.find(calendar, outgoing.identity, copy.remote_id)
            alive = found is not None and not found.deleted
            assert alive is provider.capabilities.keeps_cancelled

    async def test_a_write_that_changes_nothing_leaves_the_copy_alone(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        if not remote:
            return
        copy = await provider.create(calendar, outgoing)
        again = replace(outgoing, agreed=Agreement(outgoing.event.state, copy.state))
        assert (await provider.update(calendar, again, copy)).etag == copy.etag

    async def test_only_what_has_changed_here_is_written(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        if not remote:
            return
        copy = await provider.create(calendar, outgoing)
        theirs = revised(outgoing, location="Changed there")
        current = await provider.update(calendar, theirs, copy)
        agreed = Agreement(outgoing.event.state, current.state)  # as if nobody here had heard of it
        updated = await provider.update(calendar, replace(revised(outgoing, summary="Ours"), agreed=agreed), current)
        state = await kept(calendar, updated)
        assert state is not None
        whole = outgoing.agreed is None and self.writes_whole
        assert state.content.summary == "Ours"
        assert (state.content.location == "Changed there") is not whole

    # Deleting

    async def test_a_delete_with_another_etag_is_refused_and_changes_nothing(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        if not remote:
            return
        known = await provider.create(calendar, outgoing)
        theirs = revised(outgoing, summary="By somebody else")
        current = await provider.update(calendar, theirs, known)
        with pytest.raises(Stale):
            await provider.delete(calendar, outgoing, known)
        assert same(await kept(calendar, current), provider.expected(theirs))
        await provider.delete(calendar, outgoing, current)
        assert await kept(calendar, current) is None

    async def test_a_delete_can_be_repeated(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        for _ in range(3):
            await provider.delete(calendar, outgoing, copy)
        assert await kept(calendar, copy) is None

    async def test_a_copy_whose_id_was_never_learned_is_deleted_by_its_name(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        await provider.delete(calendar, outgoing, None)
        assert await kept(calendar, copy) is None

    async def test_deleting_what_never_was_is_success(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        await provider.delete(calendar, outgoing, None)
        await provider.delete(calendar, outgoing, RemoteEvent(outgoing.identity.key, '"1"'))

    async def test_a_delete_leaves_other_copies_alone(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        other = outgoing_for(make_event(uuid7(), NOW + timedelta(days=1)))
        copy, kept_copy = await provider.create(calendar, outgoing), await provider.create(calendar, other)
        await provider.delete(calendar, outgoing, copy)
        if remote:
            assert same(await kept(calendar, kept_copy), provider.expected(other))

    # Finding

    async def test_find_returns_what_create_and_update_returned(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        for remote_id in (copy.remote_id, None):
            found = await provider.find(calendar, outgoing.identity, remote_id)
            assert _equal(found, copy) if remote else found is None
        updated = await provider.update(calendar, revised(outgoing, summary="Changed"), copy)
        for remote_id in (copy.remote_id, None):
            found = await provider.find(calendar, outgoing.identity, remote_id)
            assert _equal(found, updated) if remote else found is None

    async def test_find_marks_a_deleted_copy_or_no_longer_knows_it(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        await provider.delete(calendar, outgoing, copy)
        for remote_id in (copy.remote_id, None):
            found = await provider.find(calendar, outgoing.identity, remote_id)
            assert found is None or (found.deleted and found.remote_id == copy.remote_id)

    async def test_find_returns_nothing_where_nothing_was(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing
    ) -> None:
        await provider.create(calendar, outgoing_for(make_event(uuid7())))
        assert await provider.find(calendar, outgoing.identity, None) is None

    async def test_find_changes_nothing(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool
    ) -> None:
        copy = await provider.create(calendar, outgoing)
        before = await kept(calendar, copy)
        found = [await provider.find(calendar, outgoing.identity, copy.remote_id) for _ in range(3)]
        assert all(_equal(each, copy) if remote else each is None for each in found)
        assert await kept(calendar, copy) == before

    # Saying what would happen

    @pytest.mark.parametrize("kind", EVENTS)
    async def test_a_preview_is_pure_repeatable_and_json(self, offline: Provider, kind: str) -> None:
        outgoing = outgoing_for(make_event(uuid7(), **EVENTS[kind]))
        preview = offline.preview(outgoing)
        assert offline.preview(outgoing) == preview
        assert json.loads(json.dumps(preview)) == preview
        assert bool(preview) is offline.capabilities.remote

    async def test_a_preview_tells_versions_apart(self, offline: Provider, outgoing: Outgoing, remote: bool) -> None:
        changed = revised(outgoing, summary="Changed")
        assert (offline.preview(changed) != offline.preview(outgoing)) is remote

    async def test_a_preview_shows_metadata_where_it_is_kept(self, offline: Provider) -> None:
        preview = offline.preview(outgoing_for(make_event(uuid7(), metadata={"crm": "unmistakable"})))
        shown = "unmistakable" in json.dumps(preview)
        assert shown is (offline.capabilities.remote and offline.capabilities.keeps_metadata)

    async def test_the_guests_are_mailed_where_invitations_are_asked_for(self, offline: Provider) -> None:
        event = make_event(uuid7(), attendees=(Attendee(OWNER.upper()), *GUESTS), send_invitations=True)
        mailed = offline.mailed(outgoing_for(event))
        assert sorted(mailed) == sorted(each.email for each in GUESTS if offline.capabilities.remote and self.invites)

    async def test_nobody_is_mailed_without_invitations_where_they_can_be_suppressed(self, offline: Provider) -> None:
        event = make_event(uuid7(), attendees=GUESTS, send_invitations=False)
        mailed = offline.mailed(outgoing_for(event))
        assert set(mailed) <= {each.email for each in GUESTS}
        assert not (offline.capabilities.suppress_invites and mailed)

    async def test_nobody_is_mailed_where_nobody_takes_part(self, offline: Provider) -> None:
        assert not offline.mailed(outgoing_for(make_event(uuid7(), send_invitations=True)))

    # Failing

    async def test_every_refusal_is_of_the_providers_errors_and_names_no_address(
        self, provider: Provider, closed_calendar: RemoteCalendar, outgoing: Outgoing, remote: bool
    ) -> None:
        copy = RemoteEvent(outgoing.identity.key, "1")
        if not remote:
            return
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: provider.create(closed_calendar, outgoing),
            lambda: provider.update(closed_calendar, outgoing, copy),
            lambda: provider.delete(closed_calendar, outgoing, None),
            lambda: provider.find(closed_calendar, outgoing.identity, None),
        ]
        for call in calls:
            with pytest.raises(ProviderError) as caught:
                await call()
            assert str(caught.value).strip()
            assert "@" not in str(caught.value)
            assert "://" not in str(caught.value)

    @pytest.mark.parametrize("steps", STEPS)
    async def test_a_call_that_is_cancelled_leaves_the_provider_usable(
        self, provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing, kept: Kept, remote: bool, steps: int
    ) -> None:
        await _cancelled_after(steps, provider.create(calendar, outgoing))
        copy = await _created_or_adopted(provider, calendar, outgoing)
        changed = revised(outgoing, summary="Changed")
        await _cancelled_after(steps, provider.update(calendar, changed, copy))
        await _cancelled_after(steps, provider.find(calendar, outgoing.identity, None))
        if remote:
            copy = await _written_over(provider, calendar, changed)
            assert same(await kept(calendar, copy), provider.expected(changed))
        await _cancelled_after(steps, provider.delete(calendar, outgoing, copy))
        await provider.delete(calendar, outgoing, copy)
        assert await kept(calendar, copy) is None


def _equal(one: RemoteEvent | None, other: RemoteEvent) -> bool:
    return one is not None and same(one.state, other.state) and replace(one, state=None) == replace(other, state=None)


async def _cancelled_after(steps: int, call: Awaitable[Any]) -> None:
    """Begin a call, and cancel it after so many turns of the event loop, wherever it is then."""
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _created_or_adopted(provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
    try:
        return await provider.create(calendar, outgoing)
    except AlreadyExists:
        found = await provider.find(calendar, outgoing.identity, None)
        assert found is not None
        return found


async def _written_over(provider: Provider, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
    """Write over the copy as it is now; what was cancelled may still arrive, and change it once more."""
    for _ in range(10):
        found = await provider.find(calendar, outgoing.identity, None)
        assert found is not None
        with suppress(Stale):
            return await provider.update(calendar, outgoing, found)
    raise AssertionError("the copy does not come to rest")
