from __future__ import annotations

from typing import Any

import pytest

from kalends.domain.events import EventState
from tests.helpers import make_content, make_when
from tests.providers.google.translation import to_google
from tests.sync.suite import MailSuite
from tests.sync.worlds.google import GooglePerson
from tests.sync.worlds.world import World

UNKNOWN: dict[str, Any] = {
    "colorId": "7",
    "attachments": [{"fileUrl": "https://drive.google.com/open?id=1", "title": "Agenda"}],
    "conferenceData": {"conferenceId": "abc", "entryPoints": [{"entryPointType": "video", "uri": "https://meet.test"}]},
    "guestsCanInviteOthers": False,
    "source": {"title": "A page", "url": "https://example.org/page"},
    "extendedProperties": {"shared": {"theirs": "kept"}},
}


class TestGoogle(MailSuite):
    @pytest.fixture
    def kind(self) -> str:
        return "google"

    @pytest.fixture(params=["sqlite", "postgresql"])
    def dialect(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_what_nobody_knows_here_survives_an_edit_here(self, world: World) -> None:
        assert isinstance(world.person, GooglePerson)
        theirs = to_google(EventState(make_when(), make_content("Theirs", attendees=())))
        guest = {"email": "bob@example.org", "displayName": "Bob B", "optional": True, "responseStatus": "accepted"}
        name = await world.person.google.adds(theirs | UNKNOWN | {"attendees": [guest]})
        await world.look()
        event = await world.only()
        await world.stage.update(event, summary="Ours", attendees=("bob@example.org", "chloe@example.org"))
        await world.look()
        seen = await world.person.google.event(name)
        assert {field: seen.get(field) for field in UNKNOWN} == UNKNOWN
        assert seen["summary"] == "Ours"
        first = seen["attendees"][0]
        assert first | guest == first
        await world.at_rest()
