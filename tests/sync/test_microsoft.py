from __future__ import annotations

from typing import Any

import pytest

from kalends.domain.events import EventState
from kalends.domain.sync import WarningCode
from tests.helpers import make_content, make_when
from tests.providers.microsoft.words import spoken
from tests.sync.suite import GUESTS, MailSuite
from tests.sync.worlds.microsoft import OutlookPerson
from tests.sync.worlds.world import World

UNKNOWN: dict[str, Any] = {"categories": ["Red", "Blue"], "importance": "high", "showAs": "oof"}


class TestMicrosoft(MailSuite):
    unmakeable = frozenset(
        {
            "with participants",  # they are mailed
            "with reminders",  # there is one
            "with dates added",
            "public",
        }
    )

    @pytest.fixture
    def kind(self) -> str:
        return "microsoft"

    async def test_what_nobody_knows_here_survives_an_edit_here(self, world: World) -> None:
        assert isinstance(world.person, OutlookPerson)
        outlook = world.person.outlook
        theirs = spoken(make_when(), make_content("Theirs")) | UNKNOWN
        theirs["body"] = {"contentType": "html", "content": "<p>One <b>bold</b> word</p>"}
        name = (await outlook.control("POST", outlook.events, theirs))["id"]
        await world.look()
        event = await world.only()
        assert event.content.description == "One bold word"
        await world.stage.update(event, summary="Ours", location="Room 1")
        await world.look()
        seen = await outlook.raw(name)
        assert {field: seen[field] for field in UNKNOWN} == UNKNOWN
        assert seen["subject"] == "Ours"
        patches = [each.body for each in outlook.desk.requests if each.method == "PATCH"]
        assert not any("body" in each for each in patches)  # what is written as text is no HTML any more
        await world.at_rest()

    async def test_what_outlook_cannot_keep_is_warned_of(self, world: World) -> None:
        event = await world.stage.create("Quiet", attendees=GUESTS, reminders=(5, 60))
        await world.look()
        warned = [each.code for each in (await world.stage.state(event)).warnings]
        assert warned == [WarningCode.REMINDERS_NOT_SENT, WarningCode.PARTICIPANTS_NOT_SENT]
        assert all(each.message.endswith(".") for each in (await world.stage.state(event)).warnings)
        assert (await world.stage.now(event)).content.reminders == (5, 60)
        state = EventState(make_when(), make_content("Theirs"))
        await world.person.adds(state)
        await world.look()
        assert [bool((await world.stage.state(each)).warnings) for each in await world.stored()] == [True, False]
