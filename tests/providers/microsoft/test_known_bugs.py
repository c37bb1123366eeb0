"""What has hurt others who spoke to Microsoft Graph. Each test names the bug, and links to where it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from kalends.domain.events import EventState
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Recurrence
from kalends.domain.sync import WarningCode
from kalends.domain.time import whole_days
from tests.contracts.provider_contract import GUESTS, outgoing_for
from tests.contracts.reading_contract import read
from tests.helpers import BERLIN, DAY, HOUR, NOW, make_content, make_event, make_when
from tests.providers.microsoft.stage import Stage, an_outgoing, became

pytestmark = pytest.mark.anyio


async def test_graph_mails_although_invite_is_false(stage: Stage) -> None:
    """https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/1549: it always does, so nobody is listed there."""
    outgoing = an_outgoing(attendees=GUESTS, send_invitations=False)
    copy = await stage.provider.create(stage.calendar, outgoing)
    changed = replace(became(outgoing, summary="Renamed"), agreed=Agreement(outgoing.event.state, copy.state))
    copy = await stage.provider.update(stage.calendar, changed, copy)
    await stage.provider.delete(stage.calendar, changed, copy)
    assert await stage.control("GET", "/mail") == []
    assert [each.code for each in stage.provider.warnings(outgoing)] == [WarningCode.PARTICIPANTS_NOT_SENT]
    assert not stage.provider.capabilities.suppress_invites

    inviting = an_outgoing(attendees=GUESTS, send_invitations=True)
    await stage.provider.create(stage.calendar, inviting)
    mailed = {each["to"] for each in await stage.control("GET", "/mail")}
    assert mailed == set(stage.provider.mailed(inviting)) == {each.email for each in GUESTS}


async def test_page_2_is_ignored(stage: Stage) -> None:
    """https://github.com/alextselegidis/easyappointments/issues/1883, https://github.com/OpenWhispr/openwhispr/issues/1571:
    double bookings, and then mass deletions. Nothing is whole, and nothing has a token, before the last page.
    """
    names = {
        await stage.add(stage.calendar, EventState(make_when(NOW + number * HOUR), make_content()))
        for number in range(12)
    }
    seen: set[str] = set()
    provider, ended = stage.built(page_size=3), False
    async for page in provider.changes(stage.calendar, None, _nothing_known):
        assert not ended
        seen |= {event.remote_id for event in page.events}
        ended = page.token is not None
        assert page.whole is ended
        assert not ended or seen == names
    assert ended


async def test_bare_occurrences_are_dropped(stage: Stage) -> None:
    """https://github.com/ridafkih/keeper.sh/pull/409: a series whose first occurrence is long past vanished."""
    await stage.behave(masters_in_delta=False)
    begins = make_when(NOW - 400 * DAY)
    state = EventState(begins, make_content("Standup"), Recurrence("FREQ=DAILY;COUNT=800"))
    name = await stage.add(stage.calendar, state)
    found = (await read(stage.provider, stage.calendar)).alive
    assert set(found) == {name}
    assert same(found[name].state, state)


@pytest.mark.parametrize("zone", ["tzone://Microsoft/Custom"])
async def test_the_zone_is_unknown_or_shifted(stage: Stage, zone: str) -> None:
    """https://github.com/phw198/OutlookGoogleCalendarSync/issues/2148: the instants stay, and the zone is never UTC."""
    name = await stage.add(stage.calendar, EventState(make_when(), make_content()))
    before = (await read(stage.provider, stage.calendar)).events[name]
    assert before.warnings == ()
    await stage.edit(name, zone=zone, start={"dateTime": "2026-05-04T09:00:00", "timeZone": zone})
    event = (await read(stage.provider, stage.calendar)).events[name]
    assert event.state is not None
    assert event.state.when.tzid == BERLIN
    assert event.state.when.span.start == NOW
    assert [each.code for each in event.warnings] == [WarningCode.UNKNOWN_TIME_ZONE]


@pytest.mark.parametrize("tzid", ["Pacific/Kiritimati", "Pacific/Pago_Pago", BERLIN, "America/New_York", "UTC"])
async def test_all_day_is_off_by_one(stage: Stage, tzid: str) -> None:
    """https://github.com/relaticle/relaticle/issues/755, https://github.com/formax68/memoChron/issues/26."""
    calendar = replace(stage.calendar, tzid=tzid)
    for first, end in (
        (date(2026, 5, 4), date(2026, 5, 5)),
        (date(2026, 3, 28), date(2026, 3, 30)),  # with the day on which the clocks change
        (date(2026, 12, 31), date(2027, 1, 2)),
    ):
        outgoing = outgoing_for(make_event(stage.account_id, when=whole_days(first, end, tzid)))
        copy = await stage.provider.create(calendar, outgoing)
        assert same(copy.state, outgoing.event.state)
        raw = await stage.raw(copy.remote_id)
        assert [raw[name]["dateTime"][:19] for name in ("start", "end")] == [f"{first}T00:00:00", f"{end}T00:00:00"]
        found = (await read(stage.provider, calendar)).events[copy.remote_id]
        assert same(found.state, outgoing.event.state)
        await stage.provider.delete(calendar, outgoing, copy)


async def _nothing_known(_names: object) -> dict[str, str]:
    return {}
