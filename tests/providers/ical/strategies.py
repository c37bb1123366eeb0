"""Whatever an event can be, for tests over generated states."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import strategies as st

from kalends.domain.errors import Refused
from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When, wall_time, whole_days
from tests.contracts.provider_contract import OWNER

ZONES = (
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Etc/UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "UTC",
)
RULES = ("FREQ=DAILY;COUNT=9", "FREQ=WEEKLY;BYDAY=MO,WE;INTERVAL=2", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY")

_seconds = st.integers(0, 60 * 60 * 24 * 365 * 100)
_text = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")),
        st.sampled_from('\n\t\\;,:"^\u2028\x85Nn'),
    ),
    max_size=120,
)
_name = _text.filter(lambda text: bool(text.strip()))
_local = st.text(st.sampled_from("abcXYZ019.!#$%&'*+/=?^_`{|}~-éß日"), min_size=1, max_size=12)
_addresses = st.builds("{}@{}".format, _local, st.sampled_from(["example.org", "sub.example.com", "bücher.example"]))


@st.composite
def timed(draw: st.DrawFn) -> When:
    """Times of a day, those that the clocks show twice among them."""
    tzid = draw(st.sampled_from(ZONES))
    near_a_change = datetime(2026, 10, 24, 22, 30, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 240)))
    anywhere = datetime(1971, 1, 1, tzinfo=UTC) + timedelta(seconds=draw(_seconds))
    start = draw(st.sampled_from([near_a_change, anywhere]))
    end = start + timedelta(seconds=draw(st.one_of(st.integers(1, 7200), st.integers(1, 2_592_000))))
    walls = [wall_time(each, tzid).replace(tzinfo=None) for each in (start, end)]
    return When(walls[0], walls[1], tzid, TimeSpan(start, end))


@st.composite
def days(draw: st.DrawFn, tzid: str = "Europe/Berlin") -> When:
    """Whole days, of a calendar's zone."""
    first = date(1971, 1, 1) + timedelta(days=draw(st.integers(0, 80_000)))
    try:
        return whole_days(first, first + timedelta(days=draw(st.integers(1, 40))), tzid)
    except Refused:  # a day that the zone skips
        return whole_days(date(2026, 5, 4), date(2026, 5, 5), tzid)


def attendees() -> st.SearchStrategy[tuple[Attendee, ...]]:
    """People, each once; the owner may be among them."""
    people = st.builds(Attendee, st.one_of(_addresses, st.just(OWNER)), st.sampled_from(Partstat))
    return st.lists(people, max_size=4, unique_by=lambda each: each.email.lower()).map(tuple)


def contents() -> st.SearchStrategy[EventContent]:
    """What an event may say."""
    return st.builds(
        EventContent,
        summary=_name,
        location=_text,
        description=st.one_of(st.none(), _text),
        attendees=attendees(),
        partstat=st.sampled_from(Partstat),
        send_invitations=st.booleans(),
        transparent=st.booleans(),
        out_of_office=st.booleans(),
        status=st.sampled_from(EventStatus),
        metadata=st.dictionaries(_name.filter(lambda key: len(key) <= 44), _text, max_size=3),
        visibility=st.sampled_from(Visibility),
        reminders=st.one_of(
            st.none(), st.lists(st.integers(0, 40_320), max_size=5, unique=True).map(lambda each: tuple(sorted(each)))
        ),
        organizer=st.one_of(st.none(), st.just("grace@example.com")),
    )


@st.composite
def recurrences(draw: st.DrawFn, when: When) -> Recurrence:
    """Ways to repeat, with exceptions that a series of that time can have."""
    rule = draw(st.one_of(st.none(), st.sampled_from(RULES)))
    if rule is not None and draw(st.booleans()):
        rule = rule.replace(";COUNT=9", "") + (";UNTIL=20990101" if when.all_day else ";UNTIL=20990101T120000Z")
    clock = time() if when.all_day else when.start.time().replace(fold=0)
    walls = st.integers(1, 400).map(lambda number: datetime.combine(when.start + timedelta(days=number), clock))
    rdates = draw(st.frozensets(walls, max_size=3, **({"min_size": 1} if rule is None else {})))
    exdates = draw(st.frozensets(walls, max_size=3))
    differing = draw(st.dictionaries(walls, st.builds(Override, st.one_of(timed(), days()), contents()), max_size=2))
    return Recurrence(rule, rdates, exdates, differing)


@st.composite
def states(draw: st.DrawFn) -> EventState:
    """Whatever an event may be."""
    when = draw(st.one_of(timed(), days()))
    recurrence = draw(st.one_of(st.none(), recurrences(when)))
    return EventState(when, draw(contents()), recurrence)
