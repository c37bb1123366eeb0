"""Who takes part: ORGANIZER, ATTENDEE and the owner's own answer (RFC 5545 section 3.8.4), in both directions.

Whether a server mails is said by SCHEDULE-AGENT (RFC 6638 section 7.1): CLIENT on an attendee means that it must not.
Only new attendees are written so. To turn it to CLIENT on somebody whom the server has invited would be worse than mail
about a change: it takes that for a cancellation, and mails it (RFC 6638 section 3.2.1.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kalends.domain.events import MAX_ATTENDEES, Attendee, EventContent, Partstat
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.values import read_address, written_address

PARTSTAT = "X-KALENDS-PARTSTAT"
"""The owner's answer where the owner is not among the attendees, and has not simply accepted."""

_AGENT = "SCHEDULE-AGENT"
_TOO_MANY = f"It has more than {MAX_ATTENDEES} participants: Kalends shows the first."
_NO_ADDRESS = "A participant has no e-mail address, and is not shown."
_OTHER_ANSWER = "A participant's answer is one that Kalends has no word for."


@dataclass(frozen=True, slots=True)
class Owner:
    """Whoever a calendar belongs to. `others` are further addresses of the same person, in lower case."""

    address: str | None = None
    others: frozenset[str] = frozenset()

    def is_at(self, email: str) -> bool:
        """Tell whether this is an address of the owner's."""
        return email.lower() in self.others or email.lower() == (self.address or "").lower()


def address_of(property_: Property) -> str | None:
    """Return the e-mail address of an ATTENDEE or ORGANIZER."""
    parameters, value = property_.parts()
    return read_address(value, next(iter(parameters.get("EMAIL", [])), None))


def read_people(
    told: Mapping[str, Sequence[Property]], owner: Owner, notes: Notes
) -> tuple[tuple[Attendee, ...], Partstat, str | None]:
    """Return the attendees, the owner's answer, and the organiser where it is somebody else than the owner.

    An owner who is not asked to take part has accepted.
    """
    attendees: dict[str, Attendee] = {}
    own = None
    for each in told.get("ATTENDEE", ()):
        email = address_of(each)
        if email is None:
            notes.partly(_NO_ADDRESS)
            continue
        partstat = _answer(each, notes)
        if owner.is_at(email):
            own = own or partstat
        if len(attendees) < MAX_ATTENDEES:
            attendees.setdefault(email.lower(), Attendee(email, partstat))
        elif email.lower() not in attendees:
            notes.partly(_TOO_MANY)
    if own is None:
        own = _known(told[PARTSTAT][0].value) if PARTSTAT in told else None
    organizer = address_of(told["ORGANIZER"][0]) if "ORGANIZER" in told else None
    if organizer is not None and owner.is_at(organizer):
        organizer = None
    return tuple(attendees.values()), own or Partstat.ACCEPTED, organizer


def _answer(attendee: Property, notes: Notes) -> Partstat:
    said = attendee.parts()[0].get("PARTSTAT", [Partstat.NEEDS_ACTION.replace("_", "-")])[0]
    answer = _known(said)
    if answer is None:
        notes.partly(_OTHER_ANSWER)
    return answer or Partstat.NEEDS_ACTION


def _known(said: str) -> Partstat | None:
    name = said.strip().upper().replace("-", "_")
    return Partstat(name) if name in Partstat.__members__ else None


# Writing


def write_people(event: Component, before: EventContent, after: EventContent, owner: Owner) -> None:
    """Bring to an event what differs between two contents; whoever stays keeps what else is said of them."""
    if _organizer(before, owner) != (organizer := _organizer(after, owner)):
        _write_organizer(event, organizer)
    agreed = {each.email.lower(): each for each in with_own_answer(before, owner)}
    wanted = {each.email.lower(): each for each in with_own_answer(after, owner)}
    present = {(address_of(each) or "").lower(): each for each in event.properties("ATTENDEE")}
    for email in agreed.keys() - wanted.keys() & present.keys():
        event.swap(present[email])
    for email, attendee in wanted.items():
        if attendee == agreed.get(email):
            continue
        if email not in present:
            silent = not after.send_invitations
            event.put("ATTENDEE", *event.properties("ATTENDEE"), _written(attendee, silent=silent))
        elif attendee.partstat is not _answer(present[email], Notes()):
            event.swap(present[email], present[email].with_parameter("PARTSTAT", _said(attendee.partstat)))
    if after.send_invitations and not before.send_invitations:
        _let_the_server_mail(event)
    if _answer_aside(before, owner) != (answer := _answer_aside(after, owner)):
        event.put(PARTSTAT, *([Property.of(PARTSTAT, _said(answer))] if answer else []))


def with_own_answer(content: EventContent, owner: Owner) -> tuple[Attendee, ...]:
    """Return the attendees; the owner, if among them, answers what the content says."""
    return tuple(
        Attendee(each.email, content.partstat) if owner.is_at(each.email) else each for each in content.attendees
    )


def _answer_aside(content: EventContent, owner: Owner) -> Partstat | None:
    """Return the owner's answer where no attendee carries it and it is not the usual one."""
    carried = any(owner.is_at(each.email) for each in content.attendees)
    return None if carried or content.partstat is Partstat.ACCEPTED else content.partstat


def _organizer(content: EventContent, owner: Owner) -> str | None:
    """Return who organises the event; nobody, where nobody takes part (section 3.8.4.3)."""
    return content.organizer or (owner.address if content.attendees else None)


def _write_organizer(event: Component, organizer: str | None) -> None:
    present = event.first("ORGANIZER")
    if organizer is None:
        event.put("ORGANIZER")
    elif present is None or (address_of(present) or "").lower() != organizer.lower():
        event.put("ORGANIZER", Property.of("ORGANIZER", written_address(organizer)))


def _let_the_server_mail(event: Component) -> None:
    for each in event.properties("ATTENDEE"):
        if each.parts()[0].get(_AGENT, [""])[0].upper() == "CLIENT":
            event.swap(each, each.with_parameter(_AGENT, None))


def _written(attendee: Attendee, *, silent: bool) -> Property:
    parameters = {"PARTSTAT": _said(attendee.partstat), "ROLE": "REQ-PARTICIPANT"}
    if silent:
        parameters[_AGENT] = "CLIENT"
    elif attendee.partstat is Partstat.NEEDS_ACTION:
        parameters["RSVP"] = "TRUE"
    return Property.of("ATTENDEE", written_address(attendee.email), parameters)


def _said(partstat: Partstat) -> str:
    return partstat.replace("_", "-")
