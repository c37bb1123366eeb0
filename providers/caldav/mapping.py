"""Between our events and CalDAV's resources. Everything here is pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kalends.domain.events import EventState
from kalends.domain.merge import same
from kalends.domain.sync import SyncWarning, WarningCode
from providers.ical.people import Owner
from providers.ical.read import Resource, opened, resource
from providers.ical.write import created, kept
from providers.interface import Broken, Outgoing, RemoteEvent

SUFFIX = ".ics"
CREATE = {"content-type": "text/calendar; charset=utf-8", "if-none-match": "*"}
NO_OWNER = "The calendar has no owner's address: the participants are listed, and nobody is invited."


def owner_of(outgoing: Outgoing, others: frozenset[str] = frozenset()) -> Owner:
    """Return whoever a calendar belongs to."""
    return Owner(outgoing.owner, others)


def name_of(outgoing: Outgoing) -> str:
    """Return the name of a copy that Kalends creates."""
    return f"{outgoing.identity.key}{SUFFIX}"


def body_of(outgoing: Outgoing, owner: Owner) -> bytes:
    """Return what is written to create a copy."""
    return created(outgoing.event, outgoing.identity.uid, owner)


def expected(outgoing: Outgoing) -> EventState:
    """Return what a server shows for an event."""
    return kept(outgoing.event.state, owner_of(outgoing))


def warnings(outgoing: Outgoing) -> tuple[SyncWarning, ...]:
    """Return what of an event a server cannot do."""
    content = outgoing.event.content
    if content.send_invitations and outgoing.invitees and outgoing.owner is None and content.organizer is None:
        return (SyncWarning(WarningCode.PARTICIPANTS_NOT_SENT, NO_OWNER),)
    return ()


def preview(outgoing: Outgoing) -> Mapping[str, Any]:
    """Return what a create sends."""
    lines = body_of(outgoing, owner_of(outgoing)).decode().replace("\r\n ", "").split("\r\n")
    return {"method": "PUT", "name": name_of(outgoing), "headers": dict(CREATE), "body": lines}


def mailed(outgoing: Outgoing) -> tuple[str, ...]:
    """Return whom the server mails: those who are invited, and those who were and hear of the change all the same.

    A server that has invited somebody goes on to tell them: to take the task from it would be a cancellation
    (RFC 6638 section 3.2.1.2). An organiser hears of the owner's answer (section 3.2.2).
    """
    content = outgoing.event.content
    agreed = outgoing.agreed.ours.content if outgoing.agreed is not None else None
    if outgoing.owner is None:
        return ()
    if content.organizer is not None:
        return (content.organizer,) if agreed is not None and agreed.partstat is not content.partstat else ()
    if content.send_invitations:
        return outgoing.invitees
    if agreed is None or not agreed.send_invitations or not changes(outgoing):
        return ()
    mine = outgoing.owner.lower()
    return tuple(each.email for each in agreed.attendees if each.email.lower() != mine)


def changes(outgoing: Outgoing) -> bool:
    """Tell whether an update may change anything; without an agreement, it may."""
    if outgoing.agreed is None:
        return True
    owner, before, after = owner_of(outgoing), outgoing.agreed.ours, outgoing.event.state
    invites = before.content.send_invitations is not after.content.send_invitations
    return invites or not same(kept(before, owner), kept(after, owner))


def read(data: bytes, name: str, uid: str | None, *, tzid: str, owner: Owner) -> Resource | Broken | None:
    """Read the event of a resource; None where it holds none, such as one with a task.

    A resource holds one UID (RFC 4791 section 4.1). Of several the one that is asked for is taken, or else the first.
    Raises `providers.ical.lines.Unreadable`.
    """
    groups = opened(data).groups
    found = next((each for each in groups if each.uid == uid), None) or next(iter(groups), None)
    if found is None:
        return None
    result = resource(found, tzid=tzid, owner=owner)
    return Broken(result.name or name, result.reason) if isinstance(result, Broken) else result


def copy_of(name: str, etag: str, found: Resource) -> RemoteEvent:
    """Return a resource as a copy."""
    return RemoteEvent(name, etag, state=found.state, uid=found.uid, event_id=found.event_id, warnings=found.warnings)
