"""What must hold on CalDAV servers besides."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from kalends.domain.sync import WarningCode
from tests.sync.suite import SyncSuite
from tests.sync.worlds.caldav import CaldavPerson
from tests.sync.worlds.world import World

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//EN\r\nBEGIN:VEVENT\r\nUID:theirs\r\nSUMMARY:Theirs\r\n"
TAIL = "DTSTAMP:20260501T080000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
TIMES = "DTSTART:20260504T070000Z\r\nDTEND:20260504T080000Z\r\n"
UNKNOWN = (
    "X-SOMEBODYS;X-PARAMETER=1:value\r\nCATEGORIES:One,Two\r\nURL:https://example.org/\r\n"
    "ATTENDEE;CN=Bob B;ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED:mailto:bob@example.org\r\n"
    "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER;RELATED=END:-PT5M\r\nATTACH:Basso\r\nEND:VALARM\r\n"
)


class CaldavSuite(SyncSuite):
    """The suite of a CalDAV server."""

    async def test_what_nobody_knows_here_survives_an_edit_here(self, world: World) -> None:
        person = world.person
        assert isinstance(person, CaldavPerson)
        await person.oracle.put(person.calendar, "theirs.ics", HEAD + TIMES + UNKNOWN + TAIL)
        before = await self.lines(person)
        assert len(before) > 15
        await world.look()
        event, both = await world.only(), ("bob@example.org", "chloe@example.org")
        await world.stage.update(event, summary="Ours", description="New", attendees=both)
        await world.look()
        after = await self.lines(person)
        assert {line.partition(":")[0] for line in before if line not in after} == {"SUMMARY", "DTSTAMP"}
        assert {"SUMMARY:Ours", "DESCRIPTION:New"} <= set(after)
        await world.look_at_everything()
        assert await self.lines(person) == after

    async def lines(self, person: CaldavPerson) -> list[str]:
        """Return the lines of the person's file."""
        text = await person.oracle.text(person.calendar, "theirs.ics")
        return re.sub(r"\r?\n[ \t]", "", text or "").splitlines()

    async def test_what_was_not_read_as_it_is_there_is_warned_of(self, world: World) -> None:
        person = world.person
        assert isinstance(person, CaldavPerson)
        floating = "DTSTART:20260504T090000\r\nDTEND:20260504T100000\r\n"
        await person.oracle.put(person.calendar, "theirs.ics", HEAD + floating + TAIL)
        await world.look()
        event = await world.only()
        assert event.when.span.start == datetime(2026, 5, 4, 7, tzinfo=UTC)
        assert [each.code for each in (await world.stage.state(event)).warnings] == [WarningCode.FLOATING_TIME]
        await world.stage.update(event, summary="Ours")
        await world.look()
        assert [each.code for each in (await world.stage.state(event)).warnings] == [WarningCode.FLOATING_TIME]
        assert "DTSTART:20260504T090000" in await self.lines(person)
