"""What Outlook will show for an event of ours, and what of it is lost on the way. Pure: no input, no output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from kalends.domain.events import Attendee, ConflictPolicy, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence, begun_at, occurrences
from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.time import EPOCH, TimeSpan, When
from providers.interface import Outgoing
from providers.microsoft import times
from providers.microsoft.reading import USUAL_REMINDER
from providers.microsoft.recurrence import from_wire, named, to_wire
from providers.microsoft.text import LONGEST_SUBJECT

_EVER = TimeSpan(EPOCH, datetime(2200, 1, 1, tzinfo=UTC))

_CANCELLED = SyncWarning(
    WarningCode.CANCELLATION_DELETES, "Outlook does not show whoever cancels an event that event: it is deleted there."
)
_DECLINED = SyncWarning(WarningCode.CANCELLATION_DELETES, "Outlook takes a declined event out of the calendar.")
_NOT_INVITED = SyncWarning(
    WarningCode.PARTICIPANTS_NOT_SENT,
    "Outlook mails whoever takes part: the participants stay here until invitations are asked for.",
)
_MAILED_ANYWAY = SyncWarning(
    WarningCode.PARTICIPANTS_NOT_SENT,
    "Outlook mails changes to those who are invited already, also where no invitations are asked for.",
)
_ORGANIZER_APART = SyncWarning(
    WarningCode.PARTICIPANTS_NOT_SENT, "Outlook does not list the organizer among the participants."
)
_SOMEBODY_ELSES = SyncWarning(
    WarningCode.PARTICIPANTS_NOT_SENT, "Somebody else organizes this event: only they can ask people to take part."
)
_ORGANIZER_ACCEPTS = SyncWarning(
    WarningCode.RSVP_NOT_SENT, "In Outlook, whoever organizes an event has accepted it: the answer stays here."
)
_THEIR_ANSWERS = SyncWarning(
    WarningCode.RSVP_NOT_SENT, "Outlook takes the answers of participants from nobody but themselves."
)
_NO_WAY_BACK = SyncWarning(WarningCode.RSVP_NOT_SENT, "In Outlook, an answer can be changed but not taken back.")
_ONE_ANSWER = SyncWarning(
    WarningCode.RSVP_NOT_SENT, "Answers to single occurrences of somebody else's series are not sent to Outlook."
)
_REMINDERS = SyncWarning(
    WarningCode.REMINDERS_NOT_SENT, "Outlook keeps one reminder: it has the one nearest to the start."
)
_PUBLIC = SyncWarning(
    WarningCode.VISIBILITY_NOT_SENT, "Outlook has no word for public: who sees the event follows from the calendar."
)
_ALL_ALIKE = SyncWarning(
    WarningCode.VISIBILITY_NOT_SENT, "In Outlook, all occurrences of a series have the series' visibility."
)
_FREE = SyncWarning(WarningCode.STATUS_NOT_SENT, "Outlook shows time as free or as tentative: free was chosen.")
_AWAY = SyncWarning(
    WarningCode.STATUS_NOT_SENT, "Outlook shows time as out of office or as tentative: out of office was chosen."
)
_NOT_AWAY = SyncWarning(
    WarningCode.OUT_OF_OFFICE_NOT_SENT, "Outlook shows time as free or as out of office: free was chosen."
)
_UNANSWERED = SyncWarning(
    WarningCode.STATUS_NOT_SENT, "Outlook shows an invitation as tentative until it is accepted, whatever its status."
)
_SHORTENED = SyncWarning(
    WarningCode.TEXT_SHORTENED, f"Outlook has the first {LONGEST_SUBJECT} characters of the title."
)
_METADATA = SyncWarning(
    WarningCode.METADATA_NOT_SENT, "In Outlook, all occurrences of a series have the series' metadata."
)
_RULE = SyncWarning(
    WarningCode.RECURRENCE_NOT_SENT, "Outlook cannot repeat an event like this: it has the first occurrence only."
)
_DATES = SyncWarning(
    WarningCode.RECURRENCE_NOT_SENT, "Outlook has no dates beside a rule: it does not have the ones that were added."
)
_NOT_NAMED = SyncWarning(
    WarningCode.RECURRENCE_NOT_SENT, "Outlook has no changed occurrences of days on which the series is not."
)


def shown(outgoing: Outgoing) -> EventState | None:
    """Return what Outlook will show, None where it will show nothing.

    Of a series that Outlook cannot repeat, it is the first occurrence: that is true, and the rest is warned of.
    """
    possible = _possible(outgoing.event.state)
    if possible is None or vanishes(outgoing):
        return None
    content = _content(possible.content, outgoing.owner, _before(outgoing))
    when = times.shown(possible.when, repeats=possible.recurrence is not None)
    if possible.recurrence is None:
        return EventState(when, content)
    recurrence = _recurrence(possible.when, possible.recurrence, EventState(when, content), outgoing)
    return EventState(when, content, recurrence)


def warnings(outgoing: Outgoing) -> tuple[SyncWarning, ...]:
    """Return what of an event Outlook cannot keep."""
    return tuple(dict.fromkeys(_lost(outgoing)))


def vanishes(outgoing: Outgoing) -> bool:
    """Tell whether an event leaves the calendar: cancelled here, or somebody else's and declined here.

    Somebody else's may stay, cancelled or declined, where Outlook shows it so.
    """
    content, theirs = outgoing.event.content, _theirs(outgoing)
    shown_so = theirs.content if theirs is not None and content.organizer is not None else None
    if content.status is EventStatus.CANCELLED:
        return shown_so is None or shown_so.status is not EventStatus.CANCELLED
    return declines(outgoing)


def declines(outgoing: Outgoing) -> bool:
    """Tell whether the owner declines somebody else's event that they had not declined before."""
    content, theirs = outgoing.event.content, _theirs(outgoing)
    declined = content.organizer is not None and content.partstat is Partstat.DECLINED
    return declined and theirs is not None and theirs.content.partstat is not Partstat.DECLINED


def _theirs(outgoing: Outgoing) -> EventState | None:
    return outgoing.agreed.theirs if outgoing.agreed else None


def _before(outgoing: Outgoing, wall: datetime | None = None) -> EventContent | None:
    """Return the content that Outlook showed before, of the whole event or of the occurrence at a wall time."""
    theirs = _theirs(outgoing)
    if theirs is None:
        return None
    override = theirs.recurrence.overrides.get(wall) if theirs.recurrence and wall else None
    return override.content if override else theirs.content


def _possible(state: EventState) -> EventState | None:
    """Return what of a series Outlook can repeat, or else its first occurrence; None where it never takes place."""
    recurrence = state.recurrence
    if recurrence is None:
        return state
    if to_wire(recurrence.rule, state.when) is not None:
        return replace(state, recurrence=replace(recurrence, rdates=frozenset()))
    for each in occurrences(state.when, recurrence, _EVER):
        content = each.override or state.content
        if content.status is not EventStatus.CANCELLED:
            return EventState(each.when, content)
    return None


# Content


def _content(content: EventContent, owner: str | None, theirs: EventContent | None) -> EventContent:
    """Return what Outlook shows of an event's content; `theirs` is what it showed before."""
    reminders = content.reminders
    if reminders:
        reminders = None if min(reminders) == USUAL_REMINDER else (min(reminders),)
    content = replace(
        content,
        summary=content.summary[:LONGEST_SUBJECT],
        send_invitations=False,
        on_conflict=ConflictPolicy.ALLOW,
        visibility=Visibility.DEFAULT if content.visibility is Visibility.PUBLIC else content.visibility,
        reminders=reminders,
        out_of_office=content.out_of_office and not content.transparent,
        attendees=_guests(content, owner, theirs),
    )
    if content.organizer is None or theirs is None:
        status = EventStatus.CONFIRMED if content.transparent or content.out_of_office else content.status
        return replace(content, partstat=Partstat.ACCEPTED, organizer=None, status=status)
    return _invitation(content, owner, theirs)


def _guests(content: EventContent, owner: str | None, theirs: EventContent | None) -> tuple[Attendee, ...]:
    """Return who takes part in an event of the owner's: whoever does already, and others if they may be mailed."""
    there = {each.email.lower(): each for each in theirs.attendees} if theirs else {}
    mine = (owner or "").lower()
    inviting = content.send_invitations and content.organizer is None
    return tuple(
        there.get(each.email.lower(), Attendee(each.email))
        for each in content.attendees
        if each.email.lower() != mine and (inviting or each.email.lower() in there)
    )


def _invitation(content: EventContent, owner: str | None, theirs: EventContent) -> EventContent:
    """Return what Outlook shows of somebody else's event, of which only the answer is the owner's to say."""
    partstat = theirs.partstat if content.partstat is Partstat.NEEDS_ACTION else content.partstat
    mine = (owner or "").lower()
    attendees = tuple(
        replace(each, partstat=partstat) if each.email.lower() == mine else each for each in theirs.attendees
    )
    status = content.status
    unsaid = content.transparent or content.out_of_office or partstat is not Partstat.ACCEPTED
    if status is EventStatus.TENTATIVE and unsaid:
        status = EventStatus.CONFIRMED
    return replace(content, attendees=attendees, partstat=partstat, status=status, organizer=theirs.organizer)


# Series


def _recurrence(begins: When, recurrence: Recurrence, usual: EventState, outgoing: Outgoing) -> Recurrence:
    """Return how a series repeats in Outlook; `usual` is what it says as a whole there."""
    pattern = to_wire(recurrence.rule, begins)
    if pattern is None or recurrence.rule is None:
        raise ValueError("Outlook cannot repeat this")
    there = named(recurrence.rule, begins, recurrence.exdates | recurrence.overrides.keys())
    cancelled = {wall for wall, each in recurrence.overrides.items() if _is_cancelled(each)}
    overrides: dict[datetime, Override] = {}
    for wall in recurrence.overrides.keys() & there - cancelled:
        override = _override(wall, recurrence.overrides[wall], usual, outgoing)
        begun = begun_at(usual.when, wall)
        if begun is None or not same(EventState(override.when, override.content), EventState(begun, usual.content)):
            overrides[wall] = override
    exdates = (recurrence.exdates | cancelled) & there - (recurrence.overrides.keys() - cancelled)
    return Recurrence(from_wire(pattern, usual.when), exdates=frozenset(exdates), overrides=overrides)


def _override(wall: datetime, override: Override, usual: EventState, outgoing: Outgoing) -> Override:
    before = _before(outgoing, wall)
    content = _content(override.content, outgoing.owner, before)
    answer = before.partstat if before and before.organizer else usual.content.partstat
    content = replace(
        content,
        metadata=usual.content.metadata,
        visibility=usual.content.visibility,
        organizer=usual.content.organizer,
        partstat=answer,
    )
    return Override(times.in_zone(override.when, usual.when.tzid), content)


def _is_cancelled(override: Override) -> bool:
    return override.content.status is EventStatus.CANCELLED


# What is lost


def _lost(outgoing: Outgoing) -> Iterator[SyncWarning]:
    state = outgoing.event.state
    if vanishes(outgoing):
        yield _CANCELLED if state.content.status is EventStatus.CANCELLED else _DECLINED
        return
    yield from _lost_of(state.content, outgoing.owner, _before(outgoing))
    if state.recurrence is not None:
        yield from _lost_of_series(state, state.recurrence, outgoing)


def _lost_of(content: EventContent, owner: str | None, theirs: EventContent | None) -> Iterator[SyncWarning]:
    """Yield what is lost of a content, whether it is a whole event's or an occurrence's."""
    if len(content.summary) > LONGEST_SUBJECT:
        yield _SHORTENED
    if len(content.reminders or ()) > 1:
        yield _REMINDERS
    if content.visibility is Visibility.PUBLIC:
        yield _PUBLIC
    yield from _lost_of_time(content)
    mine = (owner or "").lower()
    guests = {each.email.lower(): each.partstat for each in content.attendees if each.email.lower() != mine}
    kept = _content(content, owner, theirs)
    answers = {each.email.lower(): each.partstat for each in kept.attendees if each.email.lower() != mine}
    if content.organizer is not None and theirs is not None:
        yield from _lost_of_invitation(content, kept)
        if guests != answers:
            yield _SOMEBODY_ELSES
        return
    if content.partstat is not Partstat.ACCEPTED:
        yield _ORGANIZER_ACCEPTS
    if len(guests) < len(content.attendees):
        yield _ORGANIZER_APART
    yield from _lost_of_guests(content, guests, answers)


def _lost_of_time(content: EventContent) -> Iterator[SyncWarning]:
    """Yield what is lost of how the time shows: Outlook has one word for all of it."""
    if content.status is EventStatus.TENTATIVE and content.transparent:
        yield _FREE
    elif content.status is EventStatus.TENTATIVE and content.out_of_office:
        yield _AWAY
    if content.transparent and content.out_of_office:
        yield _NOT_AWAY


def _lost_of_invitation(content: EventContent, kept: EventContent) -> Iterator[SyncWarning]:
    if content.partstat is not kept.partstat:
        yield _NO_WAY_BACK
    if content.status is EventStatus.TENTATIVE and kept.partstat is not Partstat.ACCEPTED:
        yield _UNANSWERED


def _lost_of_guests(
    content: EventContent, guests: Mapping[str, Partstat], answers: Mapping[str, Partstat]
) -> Iterator[SyncWarning]:
    """Yield what is lost of guests; `answers` are those that Outlook has, and what they have said."""
    if guests.keys() - answers.keys():
        yield _NOT_INVITED if content.organizer is None else _SOMEBODY_ELSES
    if any(guests[email] not in (answer, Partstat.NEEDS_ACTION) for email, answer in answers.items()):
        yield _THEIR_ANSWERS
    if answers and not content.send_invitations:
        yield _MAILED_ANYWAY


def _lost_of_series(state: EventState, recurrence: Recurrence, outgoing: Outgoing) -> Iterator[SyncWarning]:
    if to_wire(recurrence.rule, state.when) is None or recurrence.rule is None:
        yield _RULE
        return
    if recurrence.rdates:
        yield _DATES
    if named(recurrence.rule, state.when, recurrence.overrides.keys()) != recurrence.overrides.keys():
        yield _NOT_NAMED
    for wall, override in recurrence.overrides.items():
        if not _is_cancelled(override):
            yield from _lost_of(override.content, outgoing.owner, _before(outgoing, wall))
            yield from _alike(override.content, state.content)


def _alike(occurrence: EventContent, series: EventContent) -> Iterator[SyncWarning]:
    """Yield what an occurrence cannot have otherwise than its series."""
    if occurrence.metadata != series.metadata:
        yield _METADATA
    if occurrence.visibility is not series.visibility:
        yield _ALL_ALIKE
    if series.organizer is not None and occurrence.partstat is not series.partstat:
        yield _ONE_ANSWER
