"""What Google Calendar will show for an event of ours, and what of it is lost on the way. Pure: no input, no output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kalends.domain.events import ConflictPolicy, EventContent, EventState, EventStatus, Partstat
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.time import When
from providers.google.mapping import LONGEST_DESCRIPTION, kept_metadata, taking_part
from providers.google.recurrence import named, usual

_CANCELLED = SyncWarning(
    WarningCode.CANCELLATION_DELETES, "Google Calendar does not show cancelled events: it is deleted there."
)
_SHORTENED = SyncWarning(
    WarningCode.TEXT_SHORTENED, f"Google Calendar keeps {LONGEST_DESCRIPTION} characters of the description."
)
_METADATA = SyncWarning(
    WarningCode.METADATA_NOT_SENT, "Some of its metadata has names that Kalends needs at Google for itself."
)
_RSVP = SyncWarning(
    WarningCode.RSVP_NOT_SENT, "Google Calendar does not hear the owner's answer: the owner has no address here."
)
_AWAY = SyncWarning(
    WarningCode.OUT_OF_OFFICE_NOT_SENT, "Whether somebody is out of office can be said in Google Calendar only."
)
_VISIBILITY = SyncWarning(
    WarningCode.VISIBILITY_NOT_SENT, "In Google Calendar, all occurrences of a series have the series' visibility."
)
_NOT_NAMED = SyncWarning(
    WarningCode.RECURRENCE_NOT_SENT, "Google Calendar drops changed occurrences of days on which the series is not."
)


def shown(state: EventState, owner: str | None, *, away: bool = False) -> EventState | None:
    """Return what Google Calendar will show, None where it will show nothing.

    `away` says whether the copy is an out-of-office event: what type an event is of, Google fixes when it is made
    (https://developers.google.com/workspace/calendar/api/guides/event-types).
    """
    if state.content.status is EventStatus.CANCELLED:
        return None
    content = _content(state.content, owner, away)
    if state.recurrence is None:
        return EventState(state.when, content)
    overrides = {
        wall: replace(override, content=replace(_content(override.content, owner, away), visibility=content.visibility))
        for wall, override in state.recurrence.overrides.items()
    }
    there = named(state.when, state.recurrence, overrides.keys() | state.recurrence.exdates)
    gone = {wall for wall, each in overrides.items() if each.content.status is EventStatus.CANCELLED}
    kept = {wall: override for wall, override in overrides.items() if wall in there - gone}
    exdates = frozenset((state.recurrence.exdates | gone) & there - kept.keys())
    recurrence = replace(state.recurrence, exdates=exdates, overrides=kept)
    return EventState(state.when, content, settled(state.when, content, recurrence))


def warnings(state: EventState, owner: str | None, *, away: bool = False) -> tuple[SyncWarning, ...]:
    """Return what of an event Google Calendar cannot keep; `away` as in `shown`."""
    return tuple(dict.fromkeys(_lost(state, owner, away)))


def settled(when: When, content: EventContent, recurrence: Recurrence) -> Recurrence:
    """Return a recurrence without overrides that differ in nothing.

    Google does not take a change of an occurrence back: to be as its series again is one more change.
    """

    def differs(override: Override, at: When | None) -> bool:
        return at is None or not same(EventState(override.when, override.content), EventState(at, content))

    overrides = {
        wall: override for wall, override in recurrence.overrides.items() if differs(override, usual(when, wall))
    }
    return replace(recurrence, overrides=overrides)


def _content(content: EventContent, owner: str | None, away: bool) -> EventContent:
    """Return content without what only we have words for."""
    description = content.description and content.description[:LONGEST_DESCRIPTION]
    unheard = owner is None and content.partstat is not Partstat.ACCEPTED
    return replace(
        content,
        description=description,
        attendees=taking_part(content, owner),
        partstat=Partstat.ACCEPTED if unheard else content.partstat,
        send_invitations=False,
        on_conflict=ConflictPolicy.ALLOW,
        metadata=kept_metadata(content),
        out_of_office=away,
    )


def _lost(state: EventState, owner: str | None, away: bool) -> Iterator[SyncWarning]:
    recurrence = state.recurrence
    overrides = recurrence.overrides if recurrence else {}
    contents = [state.content, *(each.content for each in overrides.values())]
    for content in contents:
        if content.status is EventStatus.CANCELLED:
            yield _CANCELLED
        if len(content.description or "") > LONGEST_DESCRIPTION:
            yield _SHORTENED
        if kept_metadata(content) != dict(content.metadata):
            yield _METADATA
        if owner is None and content.partstat is not Partstat.ACCEPTED:
            yield _RSVP
        if content.out_of_office is not away:
            yield _AWAY
        if content.visibility is not state.content.visibility:
            yield _VISIBILITY
    if recurrence and named(state.when, recurrence, overrides) != overrides.keys():
        yield _NOT_NAMED
