"""Writing to servers that behave as they do: once, over the version that is known, and no more than has changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kalends.domain.events import Attendee, EventStatus, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Recurrence
from providers.errors import (
    AlreadyExists,
    CalendarGone,
    Gone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Stale,
    Throttled,
    Unreachable,
)
from providers.interface import RemoteEvent
from tests.contracts.provider_contract import GUESTS, OWNER, outgoing_for, revised
from tests.helpers import make_event
from tests.providers.caldav.fake import WORK, FakeDav, error, respond
from tests.providers.caldav.stage import Stage, agreed, ics

pytestmark = pytest.mark.anyio


# Creating


async def test_a_create_goes_under_our_own_name_and_only_where_nothing_is() -> None:
    stage = Stage(FakeDav(), server="radicale")
    outgoing = outgoing_for(make_event(uuid7()))
    copy = await stage.provider.create(stage.calendar, outgoing)
    [put] = stage.dav.requests
    assert put.url.path == f"{WORK}{outgoing.identity.key}.ics"
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-type"] == "text/calendar; charset=utf-8"
    assert copy.remote_id == f"{outgoing.identity.key}.ics"
    assert (copy.uid, copy.event_id) == (outgoing.event.uid, outgoing.event.id)


async def test_an_answer_that_was_lost_leads_to_one_copy() -> None:
    """calcom/cal.diy#7703: a create that is repeated makes a second event."""
    lost = iter([True])

    def hook(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and next(lost, False):
            stage.dav._answer(request)
            raise httpx.ReadError("the connection broke")
        return None

    stage = Stage(FakeDav(hooks=[hook]), server="radicale")
    outgoing = outgoing_for(make_event(uuid7()))
    with pytest.raises(OutcomeUnknown):
        await stage.provider.create(stage.calendar, outgoing)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert same(found.state, stage.provider.expected(outgoing))
    assert len(stage.dav.files) == 1


@pytest.mark.parametrize("server", ["sogo", "", "davical", "sabre", "google"])
async def test_where_a_server_overwrites_or_nobody_knows_it_a_create_looks_first(server: str) -> None:
    stage = Stage(FakeDav(overwrites=True, stores_duplicates=True), server=server)
    outgoing, copy = await stage.created()
    before = dict(stage.dav.files)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, revised(outgoing, summary="Another text"))
    elsewhere = outgoing_for(outgoing.event, generation=1)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, elsewhere)
    assert stage.dav.files == before
    assert stage.dav.sent("PUT") == []
    assert copy.remote_id in before


@pytest.mark.parametrize(
    "conflict",
    [
        lambda: error(409, "c:no-uid-conflict"),
        lambda: error(412, "c:no-uid-conflict"),  # Xandikos
        lambda: error(403, "c:unique-scheduling-object-resource"),  # Cyrus
        lambda: respond(409, "<html>Conflict</html>"),  # SOGo
        lambda: respond(400, "<d:error xmlns:d='DAV:'/>"),  # Nextcloud
        lambda: respond(403),
    ],
)
async def test_an_event_under_another_name_is_found_by_its_uid(conflict: Any) -> None:
    """calcom/cal.diy#28884: an event whose UID is not the one that is looked for is lost sight of."""
    outgoing = outgoing_for(make_event(uuid7()))
    stage = Stage(FakeDav({"theirs.ics": ics(outgoing.event.uid)}, uid_conflict=conflict), server="radicale")
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert (found.remote_id, found.uid, found.event_id) == ("theirs.ics", outgoing.event.uid, None)


async def test_a_server_that_understands_no_filter_is_looked_through() -> None:
    outgoing = outgoing_for(make_event(uuid7()))
    files = {"one.ics": ics("one"), "broken.ics": "BEGIN:VCALENDAR", "it.ics": ics(outgoing.event.uid)}
    stage = Stage(FakeDav(files, ignores_filters=True))
    found = await stage.provider.find(stage.calendar, outgoing.identity, "gone.ics")
    assert found is not None
    assert found.remote_id == "it.ics"
    assert await stage.provider.find(stage.calendar, replace(outgoing.identity, uid="none"), None) is None


async def test_an_event_in_the_trash_is_said_to_be_there() -> None:
    """nextcloud/server#30096: the trash bin keeps the UID."""
    stage = Stage(
        FakeDav(hooks=[lambda request: respond(400) if request.method == "PUT" else None]), server="nextcloud"
    )
    with pytest.raises(Refused, match="trash"):
        await stage.provider.create(stage.calendar, outgoing_for(make_event(uuid7())))


@pytest.mark.parametrize("etag", ["weak", None])
async def test_without_a_strong_version_what_was_stored_is_looked_up(etag: str | None) -> None:
    stage = Stage(FakeDav(etag_of_put=etag), server="gmx")
    outgoing = outgoing_for(make_event(uuid7()))
    copy = await stage.provider.create(stage.calendar, outgoing)
    assert [each.method for each in stage.dav.requests] == ["PUT", "GET"]
    assert copy.etag == stage.dav.etag(copy.remote_id)
    updated = await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)
    assert updated.etag == stage.dav.etag(copy.remote_id) != copy.etag


async def test_what_a_server_made_of_it_is_what_comes_back() -> None:
    stage = Stage(FakeDav(rewrites=lambda text: text.replace("SUMMARY:Planning", "SUMMARY:PLANNING")), server="google")
    copy = await stage.provider.create(stage.calendar, outgoing_for(make_event(uuid7())))
    assert copy.state is not None
    assert copy.state.content.summary == "PLANNING"


async def test_a_server_whose_answers_name_no_version_is_asked_for_it() -> None:
    def hook(request: httpx.Request) -> httpx.Response | None:
        return respond(200, stage.dav.files["a.ics"]) if request.method == "GET" else None

    stage = Stage(FakeDav({"a.ics": ics("one")}, hooks=[hook]))
    outgoing = outgoing_for(make_event(uuid7()))
    found = await stage.provider.find(stage.calendar, outgoing.identity, "a.ics")
    assert found is not None
    assert found.etag == stage.dav.etag("a.ics")


# Updating


async def test_an_update_names_the_version_that_it_overwrites_and_never_any() -> None:
    stage = Stage(FakeDav(), server="icloud")
    outgoing, copy = await stage.created()
    await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)
    [put] = stage.dav.sent("PUT")
    assert put.headers["if-match"] == copy.etag
    assert "if-none-match" not in put.headers


async def test_a_write_that_changes_nothing_is_not_sent() -> None:
    """calcom/cal.diy#9485, nextcloud/calendar#4867: invitations are mailed again and again."""
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created(attendees=GUESTS, send_invitations=True)
    known = replace(outgoing, agreed=agreed(outgoing, copy))
    unchanged = await stage.provider.update(stage.calendar, known, copy)
    assert (unchanged.etag, unchanged.state, stage.dav.requests) == (copy.etag, copy.state, [])
    assert (await stage.provider.update(stage.calendar, outgoing, copy)).etag == copy.etag
    assert stage.dav.sent("PUT") == []
    only_ours = replace(known, event=replace(known.event, version=9))
    assert (await stage.provider.update(stage.calendar, only_ours, copy)).etag == copy.etag
    assert stage.dav.sent("PUT") == []


async def test_without_invitations_the_server_is_told_to_mail_nobody() -> None:
    """nextcloud/calendar#4867: SCHEDULE-AGENT=CLIENT on each of them (RFC 6638 section 7.1)."""
    stage = Stage(FakeDav())
    people = (Attendee(OWNER, Partstat.ACCEPTED), *GUESTS)
    _, quiet = await stage.created(attendees=people)
    _, loud = await stage.created(attendees=people, send_invitations=True)
    assert _folded(stage, quiet).count("SCHEDULE-AGENT=CLIENT") == len(people)
    assert "SCHEDULE-AGENT" not in _folded(stage, loud)


async def test_to_invite_nobody_any_more_is_no_cancellation() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created(attendees=GUESTS, send_invitations=True)
    quiet = replace(revised(outgoing, send_invitations=False, summary="Moved"), agreed=agreed(outgoing, copy))
    assert sorted(stage.provider.mailed(quiet)) == sorted(each.email for each in GUESTS)
    updated = await stage.provider.update(stage.calendar, quiet, copy)
    assert "SCHEDULE-AGENT" not in _folded(stage, updated)


async def test_a_change_of_a_series_keeps_the_times_that_differ_from_it() -> None:
    """nextcloud/calendar#7600, phw198/OutlookGoogleCalendarSync#1269: a series edit loses its exceptions."""
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created(recurrence=Recurrence("FREQ=WEEKLY;COUNT=6"))
    times = "DTSTART:20260511T110000Z\r\nDTEND:20260511T120000Z\r\nX-THEIRS;A=b:kept\r\n"
    differs = (
        f"BEGIN:VEVENT\r\nUID:{copy.uid}\r\nRECURRENCE-ID:20260511T070000Z\r\n{times}SUMMARY:One\r\nEND:VEVENT\r\n"
    )
    stage.dav.put(copy.remote_id, stage.dav.files[copy.remote_id].replace("END:VCALENDAR", f"{differs}END:VCALENDAR"))
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    ours = replace(revised(outgoing, summary="All"), agreed=Agreement(outgoing.event.state, found.state))
    updated = await stage.provider.update(stage.calendar, ours, found)
    assert updated.state is not None
    assert updated.state.recurrence is not None
    assert updated.state.content.summary == "All"
    assert [each.content.summary for each in updated.state.recurrence.overrides.values()] == ["One"]
    assert differs in stage.dav.files[copy.remote_id]


async def test_a_cancelled_event_stays_and_says_so() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    updated = await stage.provider.update(stage.calendar, revised(outgoing, status=EventStatus.CANCELLED), copy)
    assert "STATUS:CANCELLED" in stage.dav.files[updated.remote_id]
    assert stage.dav.sent("DELETE") == []


async def test_an_update_of_a_copy_that_has_another_name_now_finds_out() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    stage.dav.put("renamed.ics", stage.dav.files[copy.remote_id])
    stage.dav.remove(copy.remote_id)
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)


async def test_an_update_that_is_overtaken_is_stale() -> None:
    def hook(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and not stage.dav.sent("DELETE"):
            stage.dav.put(copy.remote_id, ics("other"))
        return None

    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    stage.dav.hooks.append(hook)
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)


async def test_an_update_of_a_copy_that_vanishes_under_it_is_of_nothing() -> None:
    stage = Stage(FakeDav(hooks=[]))
    outgoing, copy = await stage.created()
    stage.dav.hooks.append(lambda request: respond(404) if request.method == "PUT" else None)
    with pytest.raises(Gone):
        await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)


@pytest.mark.parametrize(
    "text", ["", "<html>Sign in</html>", ics("x", "DTSTART:never\r\n"), "BEGIN:VCALENDAR\r\nEND:VCALENDAR"]
)
async def test_a_copy_that_cannot_be_read_is_never_written_over(text: str) -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    stage.dav.put(copy.remote_id, text)
    known = replace(copy, etag=stage.dav.etag(copy.remote_id))
    with pytest.raises(Refused):
        await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), known)
    assert stage.dav.files[copy.remote_id] == text


# Deleting


async def test_a_delete_names_the_version_and_keeps_the_organiser_out_of_it() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    await stage.provider.delete(stage.calendar, outgoing, copy)
    [request] = stage.dav.sent("DELETE")
    assert (request.headers["if-match"], request.headers["schedule-reply"]) == (copy.etag, "F")
    assert stage.dav.files == {}


async def test_a_delete_by_name_finds_the_copy_that_has_another_one() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created(send_invitations=True)
    stage.dav.put("renamed.ics", stage.dav.files[copy.remote_id])
    stage.dav.remove(copy.remote_id)
    await stage.provider.delete(stage.calendar, outgoing, None)
    assert stage.dav.files == {}
    assert not any("schedule-reply" in each.headers for each in stage.dav.sent("DELETE"))


async def test_a_precondition_that_fails_where_nothing_is_is_success() -> None:
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    stage.dav.remove(copy.remote_id)
    stage.dav.hooks.append(lambda request: respond(412) if request.method == "DELETE" else None)
    await stage.provider.delete(stage.calendar, outgoing, copy)


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_deleted_only_where_the_calendar_is_there(status: int) -> None:
    """webhookdb/webhookdb#625: a calendar that is gone is no calendar without events."""
    stage = Stage(FakeDav())
    outgoing, copy = await stage.created()
    stage.dav.calendar_exists = False
    stage.dav.hooks.append(lambda request: respond(status) if request.method == "DELETE" else None)
    for known in (copy, None):
        with pytest.raises(CalendarGone):
            await stage.provider.delete(stage.calendar, outgoing, known)


# Failing


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda: respond(400), Refused),
        (lambda: respond(403), Refused),
        (lambda: error(403, "d:need-privileges"), Refused),
        (lambda: error(403, "c:valid-calendar-data"), Refused),
        (lambda: respond(405), Refused),
        (lambda: respond(413), Refused),
        (lambda: respond(415), Refused),
        (lambda: respond(418), Refused),
        (lambda: respond(422), Refused),
        (lambda: respond(501), Refused),
        (lambda: respond(507), Refused),
        (lambda: respond(401), ReconnectRequired),
        (lambda: respond(423), Unreachable),
        (lambda: respond(429), Throttled),
        (lambda: respond(500), Unreachable),
        (lambda: respond(503), Unreachable),
        (lambda: respond(503, retry_after="9"), Throttled),
        (lambda: respond(502), OutcomeUnknown),
        (lambda: respond(504), OutcomeUnknown),
    ],
)
async def test_a_write_that_fails_says_what_must_happen_next(answer: Any, expected: type[ProviderError]) -> None:
    stage = Stage(FakeDav(), server="radicale")
    outgoing, copy = await stage.created()
    stage.dav.hooks.append(lambda request: answer() if request.method in ("PUT", "DELETE") else None)
    other = outgoing_for(make_event(uuid7()))
    calls: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: stage.provider.create(stage.calendar, other),
        lambda: stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy),
        lambda: stage.provider.delete(stage.calendar, outgoing, copy),
    )
    for call in calls:
        with pytest.raises(expected) as caught:
            await call()
        assert type(caught.value) is expected
        assert "example.org" not in str(caught.value)


async def test_every_call_on_a_calendar_that_is_gone_says_so() -> None:
    stage = Stage(FakeDav(calendar_exists=False), server="radicale")
    outgoing, copy = outgoing_for(make_event(uuid7())), RemoteEvent("a.ics", '"1"')
    calls: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: stage.provider.create(stage.calendar, outgoing),
        lambda: stage.provider.update(stage.calendar, outgoing, copy),
        lambda: stage.provider.delete(stage.calendar, outgoing, copy),
        lambda: stage.provider.find(stage.calendar, outgoing.identity, None),
    )
    for call in calls:
        with pytest.raises(CalendarGone):
            await call()


async def test_a_calendar_without_an_account_and_an_account_without_a_grant_need_one() -> None:
    stage = Stage(FakeDav())
    for calendar in (replace(stage.calendar, account_id=None), replace(stage.calendar, account_id=uuid7())):
        with pytest.raises(ReconnectRequired):
            await stage.provider.create(calendar, outgoing_for(make_event(uuid7())))
    assert stage.dav.requests == []


async def test_a_page_for_people_is_no_answer() -> None:
    stage = Stage(FakeDav(hooks=[lambda _: respond(200, "<html>Sign in</html>", content_type="text/html")]))
    with pytest.raises((OutcomeUnknown, Refused)):
        await stage.provider.find(stage.calendar, outgoing_for(make_event(uuid7())).identity, None)


async def test_an_owner_who_has_no_address_invites_nobody_and_hears_of_it() -> None:
    stage = Stage(FakeDav())
    outgoing = outgoing_for(make_event(uuid7(), attendees=GUESTS, send_invitations=True), owner=None)
    [warning] = stage.provider.warnings(outgoing)
    assert warning.message.endswith(".")
    assert stage.provider.mailed(outgoing) == ()
    copy = await stage.provider.create(replace(stage.calendar, owner=None), outgoing)
    assert "ORGANIZER" not in stage.dav.files[copy.remote_id]


async def test_an_organiser_hears_of_our_answer() -> None:
    stage = Stage(FakeDav())
    event = make_event(
        uuid7(), organizer="grace@example.com", attendees=(Attendee(OWNER),), partstat=Partstat.NEEDS_ACTION
    )
    outgoing = outgoing_for(event)
    assert stage.provider.mailed(outgoing) == ()
    copy = await stage.provider.create(stage.calendar, outgoing)
    answered = replace(revised(outgoing, partstat=Partstat.ACCEPTED), agreed=agreed(outgoing, copy))
    assert stage.provider.mailed(answered) == ("grace@example.com",)
    await stage.provider.update(stage.calendar, answered, copy)
    assert f"PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;SCHEDULE-AGENT=CLIENT:mailto:{OWNER}" in _folded(stage, copy)


def _folded(stage: Stage, copy: RemoteEvent) -> str:
    return stage.dav.files[copy.remote_id].replace("\r\n ", "")
