"""The lists of an event that Google replaces whole: merged here, so that what we do not know of survives. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from kalends.domain.events import MAX_REMINDERS, EventContent
from providers.google.mapping import ANSWERS, taking_part
from providers.google.wire import Body, Event, EventAttendee, EventReminder

_READ_ONLY = ("self", "organizer", "id", "asyncOperation")


def merges(changes: Body) -> bool:
    """Tell whether `merging` these changes needs to know the event as it is."""
    return not changes.keys().isdisjoint(("attendees", "reminders"))


def merging(changes: Body, old: EventContent, new: EventContent, event: Event, owner: str | None) -> Body:
    """Return the changes from one content to the other, their lists merged into those of the event as it is."""
    merged = dict(changes)
    if "reminders" in merged and new.reminders is not None:
        there = event.get("reminders", {}).get("overrides", [])
        merged["reminders"] = {"useDefault": False, "overrides": _reminders(new.reminders, there)}
    if "attendees" in merged:
        me = _me(event, owner)
        if me is not None and new.organizer is not None and _guests(old, owner) == _guests(new, owner):
            # Whoever is only invited may change nothing but the own answer, and says that this is all.
            merged["attendeesOmitted"] = True
            merged["attendees"] = [{"email": me, "responseStatus": ANSWERS[new.partstat]}]
        else:
            before, after = _answers(old, owner, me), _answers(new, owner, me)
            merged["attendees"] = _attendees(event.get("attendees", []), before, after)
    return merged


def _reminders(minutes: Iterable[int], there: Iterable[EventReminder]) -> list[EventReminder]:
    """Return reminders at these minutes: of those there, what is still wanted keeps its method, such as an e-mail."""
    wanted = {each: [old for old in there if old["minutes"] == each] for each in sorted(set(minutes))}
    first = [old[0] if old else EventReminder(method="popup", minutes=each) for each, old in wanted.items()]
    more = [each for old in wanted.values() for each in old[1:]]
    return [*first, *more][:MAX_REMINDERS]


def _guests(content: EventContent, owner: str | None) -> set[str]:
    """Return who takes part beside the calendar's owner."""
    return {each.email.lower() for each in content.attendees} - {(owner or "").lower()}


def _me(event: Event, owner: str | None) -> str | None:
    """Return the address under which the calendar's owner takes part: Google may know them by another."""
    addresses = [each["email"] for each in event.get("attendees", []) if each.get("self")]
    return addresses[0] if addresses else owner


def _attendees(
    there: Iterable[EventAttendee], before: dict[str, EventAttendee], after: dict[str, EventAttendee]
) -> list[Body]:
    """Return who takes part: everybody there, but for what has changed here."""
    result: list[Body] = []
    for each in there:
        name = each["email"].lower()
        if name in before and name not in after:
            continue
        kept: Body = {key: value for key, value in each.items() if key not in _READ_ONLY}
        if name in after and after[name] != before.get(name):
            kept |= {"responseStatus": after[name]["responseStatus"]}
        result.append(kept)
    known = before.keys() | {each["email"].lower() for each in result}
    return [*result, *({**each} for name, each in after.items() if name not in known)]


def _answers(content: EventContent, owner: str | None, me: str | None) -> dict[str, EventAttendee]:
    """Return who takes part and with which answer, by their address there."""
    answers: dict[str, EventAttendee] = {}
    for each in taking_part(content, owner):
        email = me if me and owner and each.email.lower() == owner.lower() else each.email
        answers[email.lower()] = {"email": email, "responseStatus": ANSWERS[each.partstat]}
    return answers
