"""Three-way merge of what two calendars say of one event, place by place.

A place is what can change by itself: a field, or one entry of a field that is a set, such as one attendee. So an
attendee's answer at the provider and a new title here are two changes that do not meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from kalends.domain.events import Attendee, EventContent, EventState
from kalends.domain.recurrence import Override, Recurrence

_Place: TypeAlias = tuple[str, Any]
_WHEN: _Place = ("when", "")
_FIELDS = (
    "summary",
    "location",
    "description",
    "partstat",
    "transparent",
    "status",
    "visibility",
    "reminders",
    "organizer",
    "out_of_office",
    "send_invitations",  # ours only, as is the next: theirs has the default, now as before
    "on_conflict",
)
_SETS = ("attendees", "metadata", "rdates", "exdates", "overrides")
_WORDS = ("summary", "location", "description", "metadata", "rule", "overrides")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What each side said when both were last in step.

    The two differ where a provider cannot keep something, or keeps it in its own form: so nobody's limits look like
    somebody's change. `theirs` is None where they were in step by the event not being there, as a cancelled one may be.
    """

    ours: EventState
    theirs: EventState | None


def same(one: EventState | None, other: EventState | None) -> bool:
    """Tell whether two states say the same, in whatever form."""
    if one is None or other is None:
        return one is other
    return not _differing(_places(one), _places(other))


def merged(
    ours: EventState, theirs: EventState, agreed: Agreement, *, prefer_theirs: bool = False
) -> tuple[EventState, tuple[str, ...]]:
    """Return the merge of both sides' changes, and the names of the places that both changed in different ways.

    Those keep our value, unless theirs is preferred.
    """
    mine, their = _places(ours), _places(theirs)
    changed_here = _differing(mine, _places(agreed.ours))
    changed_there = _changed_there(their, agreed)
    clashes = {place for place in changed_there & changed_here if _plain(mine.get(place)) != _plain(their.get(place))}
    taken = changed_there if prefer_theirs else changed_there - changed_here
    return _state(_taking(mine, their, taken)), tuple(sorted(map(_named, clashes)))


def moved_on(agreed: Agreement, theirs: EventState) -> Agreement:
    """Return the agreement as of what they say now: their changes until now are no difference any more.

    What `ours` still differs in from its `ours` is what they have not heard of.
    """
    their = _places(theirs)
    return Agreement(_state(_taking(_places(agreed.ours), their, _changed_there(their, agreed))), theirs)


def arrived(agreed: Agreement, sent: Agreement, theirs: EventState) -> Agreement:
    """Return the agreement with what they show of a write of ours whose answer was lost: that is no change of theirs.

    What they show otherwise by now they have changed since, or the write has not arrived: that cannot be told.
    """
    if agreed.theirs is None or sent.theirs is None:
        return agreed
    their, shown, before = _places(theirs), _places(sent.theirs), _places(agreed.theirs)
    places = {place for place in _differing(shown, before) if _plain(their.get(place)) == _plain(shown.get(place))}
    ours = _taking(_places(agreed.ours), _places(sent.ours), places)
    return Agreement(_state(ours), _state(_taking(before, their, places)))


def in_common(ours: EventState, shown: EventState, theirs: EventState) -> Agreement:
    """Return what two agree on that were never in step; `shown` is what theirs would show for ours.

    They agree on what they say alike. What only one of them says is that one's change, and words that differ, or times,
    are changes of both: nobody's are lost. Where answers and the like differ, they are a change of theirs.
    """
    mine, would, their = _places(ours), _places(shown), _places(theirs)
    nothing = _places(EventState(ours.when, EventContent("")))
    for place in _differing(would, their):
        if place == _WHEN:
            mine[place], would[place] = theirs.when, ours.when
        elif place[0] in _WORDS or would.get(place) is None or their.get(place) is None:
            for each in (mine, would):
                each.pop(place, None)
    return Agreement(_state(nothing | mine), _state(nothing | would))


def unanswered(state: EventState) -> EventState:
    """Return a state without the attendees' answers."""
    attendees = tuple(Attendee(each.email) for each in state.content.attendees)
    return replace(state, content=replace(state.content, attendees=attendees))


def _changed_there(their: Mapping[_Place, Any], agreed: Agreement) -> set[_Place]:
    return _differing(their, _places(agreed.theirs) if agreed.theirs else {})


def _taking(mine: Mapping[_Place, Any], their: Mapping[_Place, Any], places: set[_Place]) -> dict[_Place, Any]:
    """Return our places with theirs in some of them."""
    result = dict(mine)
    for place in sorted(places, key=_named):
        if place in their:
            result[place] = their[place]
        else:
            result.pop(place, None)
    return result


def _differing(one: Mapping[_Place, Any], other: Mapping[_Place, Any]) -> set[_Place]:
    """Return the places in which two differ; an empty place and one that is not there are the same."""
    return {place for place in one.keys() | other.keys() if _plain(one.get(place)) != _plain(other.get(place))}


def _places(state: EventState) -> dict[_Place, Any]:
    content, recurrence = state.content, state.recurrence
    places: dict[_Place, Any] = {_WHEN: state.when}
    places |= {(name, ""): getattr(content, name) for name in _FIELDS}
    places |= {("attendees", each.email.lower()): each for each in content.attendees}
    places |= {("metadata", key): value for key, value in content.metadata.items()}
    if recurrence is not None:
        places["rule", ""] = recurrence.rule
        places |= {("rdates", wall): True for wall in recurrence.rdates}
        places |= {("exdates", wall): True for wall in recurrence.exdates}
        places |= {("overrides", wall): override for wall, override in recurrence.overrides.items()}
    return places


def _state(places: Mapping[_Place, Any]) -> EventState:
    sets: dict[str, dict[Any, Any]] = {name: {} for name in _SETS}
    fields: dict[str, Any] = {}
    for (name, entry), value in places.items():
        if name in sets:
            sets[name][entry] = value
        else:
            fields[name] = value
    when, rule = fields.pop("when"), fields.pop("rule", None)
    content = EventContent(**fields, attendees=tuple(sets["attendees"].values()), metadata=sets["metadata"])
    recurrence = None
    if rule is not None or sets["rdates"]:
        recurrence = Recurrence(rule, frozenset(sets["rdates"]), frozenset(sets["exdates"]), sets["overrides"])
    return EventState(when, content, recurrence)


def _plain(value: Any) -> Any:
    """Return a value in a form that shows nobody's habits: how lines end, the order of a set, empty for nothing."""
    match value:
        case str():
            return "\n".join(line.rstrip() for line in value.replace("\r\n", "\n").split("\n")).strip() or None
        case tuple():
            return tuple(sorted(value))
        case Attendee():
            return value.email.lower(), value.partstat
        case Override():
            return {place: _plain(each) for place, each in _places(EventState(value.when, value.content)).items()}
    return value


def _named(place: _Place) -> str:
    name, entry = place
    if isinstance(entry, datetime):
        entry = entry.isoformat()
    return f"{name}.{entry}" if entry else name
