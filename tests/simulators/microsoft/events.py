"""What happens to events, whoever does it: an application, or a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from . import recurring
from .errors import Refusal, invalid, not_found, stale
from .fields import DEFAULTS, MAILED, TIME, read_fields
from .times import MIDNIGHT, instant, read_time, zone_of
from .views import etag_of
from .world import Calendar, Item, Mailbox, Wire, World, planned

_NOT_OF_OCCURRENCES = {"recurrence", "transactionId", "sensitivity"}


class Events:
    """The events of all mailboxes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def find(self, mailbox: Mailbox, event_id: str) -> tuple[Item, date | None]:
        """Return an event, and the day where the id is of one of its occurrences."""
        name, day = planned(event_id)
        item = mailbox.items.get(name)
        if item is None or (item.deleted and not (self._world.behaviour.finds_deleted and day is None)):
            raise not_found()
        if day is not None and day not in set(item.days()):
            raise not_found()
        return item, day

    def create(self, mailbox: Mailbox, calendar: Calendar, body: Wire, **others: Any) -> Item:
        """Create an event, or find that it was created before, by its `transactionId`."""
        transaction, canonical = body.get("transactionId"), json.dumps(body, sort_keys=True)
        if transaction in mailbox.transactions:
            before, name = mailbox.transactions[transaction]
            item = mailbox.items[name]
            if before != canonical or (item.deleted and self._world.behaviour.remembers_deleted):
                message = "Your request can't be completed: another one had this transactionId."
                raise Refusal(409, "ErrorDuplicateTransactionId", message)
            if not item.deleted:
                return item
        missing = {"start", "end"} - body.keys()
        if missing:
            raise invalid(f"An event needs {' and '.join(sorted(missing))}.", "ErrorPropertyValidationFailure")
        item = self._made(calendar, body, transaction, others)
        mailbox.items[item.id] = item
        if transaction:
            mailbox.transactions[transaction] = (canonical, item.id)
        self._world.post(item, "invitation", _addresses(item))
        self._world.wrote(mailbox, item, "created")
        return item

    def change(self, mailbox: Mailbox, event_id: str, body: Wire, etag: str | None = None) -> tuple[Item, date | None]:
        """Change an event, or an occurrence of a series."""
        item, day = self.find(mailbox, event_id)
        self._compare(item, day, etag)
        if "transactionId" in body:
            raise invalid("transactionId cannot be changed.", "ErrorInvalidPropertySet")
        if day is None:
            self._change(mailbox, item, body)
        else:
            self._change_occurrence(mailbox, item, day, body)
        return item, day

    def delete(self, mailbox: Mailbox, event_id: str, etag: str | None = None) -> None:
        """Delete an event, or an occurrence. Whoever organizes it takes the invitations back."""
        item, day = self.find(mailbox, event_id)
        if item.deleted:
            raise not_found()
        self._compare(item, day, etag)
        if item.organizer is None:
            self._world.post(item, "cancellation", _addresses(item, day))
        if day is None:
            item.deleted = True
            self._world.wrote(mailbox, item, "deleted")
            return
        item.cancelled.add(day)
        item.exceptions.pop(day, None)
        self._world.wrote(mailbox, item, "updated")

    def answer(self, mailbox: Mailbox, event_id: str, response: str, *, tell: bool) -> None:
        """Answer an invitation. A declined one leaves the calendar."""
        item, _day = self.find(mailbox, event_id)
        if item.organizer is None:
            raise invalid("Your request can't be completed. You can't respond to this meeting: you organize it.")
        item.response = response
        item.fields["showAs"] = {"tentativelyAccepted": "tentative", "declined": "free"}.get(response, "busy")
        item.deleted = response == "declined" and not self._world.behaviour.keeps_declined
        if tell:
            self._world.post(item, response, {item.organizer: True})
        self._world.wrote(mailbox, item, "deleted" if item.deleted else "updated")

    def cancel(self, mailbox: Mailbox, event_id: str) -> None:
        """Cancel a meeting. Only whoever organizes it may: https://learn.microsoft.com/graph/api/event-cancel."""
        item, _day = self.find(mailbox, event_id)
        if item.organizer is not None or not item.fields["attendees"]:
            raise invalid("Your request can't be completed. You need to be an organizer to cancel a meeting.")
        self.delete(mailbox, event_id)

    def _made(self, calendar: Calendar, body: Wire, transaction: str | None, others: Mapping[str, Any]) -> Item:
        start, end, zone, all_day = _times(body, {})
        _check_times(start, end, zone, all_day, repeats=body.get("recurrence") is not None)
        if body.get("recurrence") is not None:
            recurring.check(body["recurrence"], start.date())
        name = self._world.new_id("event")
        fields = {**DEFAULTS, **read_fields(body, DEFAULTS)}
        made = Item(
            name, calendar.id, fields, start, end, zone, all_day, self._world.clock(), f"040000008200E000{name[-12:]}"
        )
        made.recurrence, made.transaction = body.get("recurrence"), transaction
        made.properties = _properties(body)
        for attribute, value in others.items():
            setattr(made, attribute, value)
        return made

    def _change(self, mailbox: Mailbox, item: Item, body: Wire) -> None:
        start, end, zone, all_day = _times(
            body, {"start": item.start, "end": item.end, "zone": item.zone}, item.all_day
        )
        recurrence = body.get("recurrence", item.recurrence)
        _check_times(start, end, zone, all_day, repeats=recurrence is not None)
        if recurrence is not None:
            recurring.check(recurrence, start.date())
        fields = read_fields(body, item.fields)
        before = _addresses(item)
        if body.keys() & TIME and self._world.behaviour.resets_exceptions:
            item.exceptions, item.cancelled = {}, set()
        item.start, item.end, item.zone, item.all_day, item.recurrence = start, end, zone, all_day, recurrence
        item.fields |= fields
        item.properties |= _properties(body)
        self._mail_change(item, body, before, _addresses(item))
        self._world.wrote(mailbox, item, "updated")

    def _change_occurrence(self, mailbox: Mailbox, item: Item, day: date, body: Wire) -> None:
        if body.keys() & _NOT_OF_OCCURRENCES:
            raise invalid("This cannot be changed for one occurrence only.", "ErrorInvalidPropertySet")
        now = {**item.fields, **item.exceptions.get(day, {})}
        changes = read_fields(body, now)
        start, end, zone, all_day = item.times(day)
        if body.keys() & TIME:
            start, end, zone, all_day = _times(body, {"start": start, "end": end, "zone": zone}, all_day)
            _check_times(start, end, zone, all_day, repeats=False)
            _check_room(item, day, start, zone)
            changes |= {"start": start, "end": end, "zone": zone, "all_day": all_day}
        before = _addresses(item, day)
        item.exceptions[day] = {**item.exceptions.get(day, {}), **changes}
        self._mail_change(item, body, before, _addresses(item, day))
        self._world.wrote(mailbox, item, "updated", day)

    def _mail_change(self, item: Item, body: Wire, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Mail who must hear of a change: where only attendees change, these alone."""
        if item.organizer is not None:
            return
        self._world.post(item, "cancellation", {each: True for each in before if each not in after})
        self._world.post(item, "invitation", {each: True for each in after if each not in before})
        if body.keys() & MAILED:
            self._world.post(item, "update", {each: True for each in after if each in before})

    def _compare(self, item: Item, day: date | None, etag: str | None) -> None:
        if etag not in (None, "*", etag_of(item, day)):
            refusal = stale()
            refusal.status = self._world.behaviour.stale_status
            raise refusal


def _addresses(item: Item, day: date | None = None) -> dict[str, Any]:
    fields = {**item.fields, **(item.exceptions.get(day, {}) if day else {})}
    return {each["emailAddress"]["address"]: True for each in fields["attendees"]}


def _properties(body: Wire) -> dict[str, str]:
    return {str(each["id"]): str(each["value"]) for each in body.get("singleValueExtendedProperties", ())}


def _times(body: Wire, now: Mapping[str, Any], all_day: bool = False) -> tuple[datetime, datetime, str, bool]:
    start, zone = read_time(body["start"], "The start") if "start" in body else (now["start"], now["zone"])
    end, end_zone = read_time(body["end"], "The end") if "end" in body else (now["end"], zone)
    all_day = bool(body.get("isAllDay", all_day))
    if all_day and zone != end_zone:
        raise invalid("An all-day event begins and ends in one time zone.")
    if zone != end_zone:
        end = instant(end, end_zone).astimezone(zone_of(zone)).replace(tzinfo=None)
    return start, end, zone, all_day


def _check_times(start: datetime, end: datetime, zone: str, all_day: bool, *, repeats: bool) -> None:
    zone_of(zone, repeats=repeats)
    if all_day and (start.time() != MIDNIGHT or end.time() != MIDNIGHT or end <= start):
        raise invalid("An all-day event begins and ends at midnight, a day later at least.")
    if instant(end, zone) < instant(start, zone):
        raise invalid("The end is before the start.", "ErrorCalendarEndDateIsEarlierThanStartDate")


def _check_room(item: Item, day: date, start: datetime, zone: str) -> None:
    """Refuse to move an occurrence to the day of its neighbours, or beyond them."""
    moved = instant(start, zone).astimezone(zone_of(item.zone)).date()
    before = after = None
    for other in item.days():
        if other < day:
            before = other
        elif other > day:
            after = other
            break
    earliest, latest = (item.times(each)[0].date() if each else None for each in (before, after))
    if (earliest and moved <= earliest) or (latest and moved >= latest):
        message = "Modified occurrence is crossing or overlapping adjacent occurrence."
        raise invalid(message, "ErrorOccurrenceCrossingBoundary")
