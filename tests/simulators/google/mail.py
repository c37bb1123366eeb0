"""Who is mailed when an event changes, as `sendUpdates` says."""

from __future__ import annotations

from collections.abc import Collection

from .world import Calendar, Mail, Wire

# What guests do not see, they do not hear of.
_PRIVATE = ("reminders", "extendedProperties", "transparency", "colorId", "sequence", "attendees")


def post(
    calendar: Calendar, event_id: str, before: Wire, after: Wire, notify: str, accounts: Collection[str]
) -> list[Mail]:
    """Return the messages that a change leads to; `notify` is `all`, `externalOnly` or `none`.

    A new event has no `before`, a deleted one no `after`.
    """
    said = after or before
    summary = said.get("summary", "")

    def mails(recipients: Collection[str], kind: str) -> list[Mail]:
        return [
            Mail(each, kind, calendar.id, event_id, summary)
            for each in sorted(recipients)
            if notify == "all" or (notify == "externalOnly" and each not in accounts)
        ]

    organizer = said.get("organizer", {}).get("email", calendar.id)
    if organizer.lower() != calendar.id.lower():
        answered = before and _guests(before, calendar, own=True) != _guests(after, calendar, own=True)
        return mails([organizer], "reply") if answered else []
    was, now = _guests(before, calendar), _guests(after, calendar)
    staying = was.keys() & now.keys()
    shared = _shared(before) != _shared(after)
    return [
        *mails(now.keys() - was.keys(), "invitation"),
        *mails(was.keys() - now.keys(), "cancellation"),
        *(mails(staying, "update") if shared else []),
    ]


def _guests(said: Wire, calendar: Calendar, *, own: bool = False) -> dict[str, str]:
    """Return the guests and their answers; with `own`, only the calendar's."""
    return {
        each["email"]: each.get("responseStatus", "needsAction")
        for each in said.get("attendees", [])
        if (each["email"].lower() == calendar.id.lower()) is own
    }


def _shared(said: Wire) -> Wire:
    return {name: value for name, value in said.items() if name not in _PRIVATE}
