"""Zones in files: whose clocks a time means, and definitions that other readers understand for all years."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.sync import WarningCode
from kalends.domain.time import zone
from providers.ical.lines import Component, parsed, written
from providers.ical.notes import Notes
from providers.ical.values import Moment
from providers.ical.zones import Definitions, Place, Zones, definition
from tests.helpers import BERLIN, wall

NOON = wall("2026-07-01T12:00")
NEW_YORKS = """
BEGIN:STANDARD
DTSTART:20071104T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20070311T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
"""


def zones_of(observances: str, name: str = "Custom", tzid: str = BERLIN) -> Zones:
    """Return the zones of a calendar that defines one."""
    text = f"BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{name}\n{observances.strip()}\nEND:VTIMEZONE\nEND:VCALENDAR\n"
    [calendar] = parsed(text.encode())
    return Zones(Definitions(calendar), tzid)


def placed(zones: Zones, moment: datetime, tzid: str | None = "Custom") -> tuple[Place, list[WarningCode]]:
    notes = Notes()
    place = zones.place(Moment(moment), tzid, notes)
    return place, [each.code for each in notes.warnings]


def observance(kind: str, start: str, before: str, after: str, *more: str) -> str:
    lines = [f"BEGIN:{kind}", f"DTSTART:{start}", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}", *more]
    return "\n".join([*lines, f"END:{kind}", ""])


# Reading


def test_a_time_in_utc_is_in_utc() -> None:
    assert Zones(Definitions(Component("VCALENDAR")), BERLIN).place(Moment(NOON, utc=True), None, Notes()) == Place(
        NOON, "UTC"
    )


def test_a_time_without_a_zone_is_on_the_calendars_clocks_and_says_so() -> None:
    zones = Zones(Definitions(Component("VCALENDAR")), BERLIN)
    assert placed(zones, NOON, None) == (Place(NOON, BERLIN), [WarningCode.FLOATING_TIME])


@pytest.mark.parametrize("tzid", ["Nobody's", "tzone://Microsoft/Custom", "", "../../etc/passwd"])
def test_a_zone_that_nobody_knows_is_the_calendars_and_never_utc(tzid: str) -> None:
    zones = Zones(Definitions(Component("VCALENDAR")), BERLIN)
    place, codes = placed(zones, NOON, tzid)
    assert (place, codes) == (Place(NOON, BERLIN), [WarningCode.UNKNOWN_TIME_ZONE])
    assert place.instant == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_zone_that_only_the_file_knows_keeps_the_instant(month: int) -> None:
    """OutlookGoogleCalendarSync#2148: a zone that is unknown shifts nothing."""
    moment = datetime.combine(date(2026, month, 15), NOON.time())
    place, codes = placed(zones_of(NEW_YORKS), moment)
    assert codes == [WarningCode.UNKNOWN_TIME_ZONE]
    assert place.tzid == BERLIN
    assert place.instant == moment.replace(tzinfo=zone("America/New_York")).astimezone(UTC)


@given(st.datetimes(datetime(2008, 1, 1), datetime(2190, 1, 1)))  # noqa: DTZ001  wall times
def test_a_zone_that_only_the_file_knows_is_read_as_its_rules_say(moment: datetime) -> None:
    place, _ = placed(zones_of(NEW_YORKS), moment)
    assert place.instant == moment.replace(tzinfo=zone("America/New_York"), microsecond=0).astimezone(UTC) + timedelta(
        microseconds=moment.microsecond
    )


def test_a_known_name_is_believed_more_than_its_definition() -> None:
    zones = zones_of(observance("STANDARD", "19700101T000000", "+1100", "+1100"), "Europe/London")
    assert placed(zones, NOON, "Europe/London") == (Place(NOON, "Europe/London"), [])


@pytest.mark.parametrize(
    ("name", "tzid"),
    [("W. Europe Standard Time", "Europe/Berlin"), ("/mozilla.org/20070129_1/Asia/Tokyo", "Asia/Tokyo")],
)
def test_names_of_other_kinds_are_translated(name: str, tzid: str) -> None:
    zones = Zones(Definitions(Component("VCALENDAR")), "America/New_York")
    assert placed(zones, NOON, name) == (Place(NOON, tzid), [])


def test_a_definition_may_list_its_changes_one_by_one() -> None:
    zones = zones_of(
        observance("DAYLIGHT", "20260301T000000", "+0000", "+0130", "RDATE:20270301T000000,20280301T000000")
        + observance("STANDARD", "20260901T000000", "+0130", "+0000", "RDATE:20270901T000000", "RDATE:20280901T000000")
    )
    found = [
        placed(zones, wall(f"{year}-{month}-01T12:00"))[0].instant for year in (2026, 2028) for month in ("07", "12")
    ]
    assert [f"{moment:%H:%M}" for moment in found] == ["10:30", "12:00", "10:30", "12:00"]


def test_before_its_first_change_a_definition_says_what_was_before() -> None:
    zones = zones_of(observance("STANDARD", "20300101T000000", "+0200", "+0300"))
    assert placed(zones, NOON)[0].instant == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "observances",
    [
        "",
        "COMMENT:nothing",
        observance("STANDARD", "20260101T000000", "+0100", "soon"),
        observance("STANDARD", "someday", "+0100", "+0100"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=SECONDLY"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=13;BYDAY=1SU"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYDAY=9XX"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYDAY=1SU;UNTIL=never"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYMONTHDAY=x;BYDAY=1SU"),
        observance("STANDARD", "16010101T020000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYHOUR=3;BYDAY=1SU"),
        observance("STANDARD", "16010101T000000", "+0100", "+0100", "RRULE:FREQ=HOURLY") * 5_000,
        "BEGIN:STANDARD\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nEND:STANDARD",
    ],
)
def test_a_definition_that_cannot_be_followed_is_none(observances: str) -> None:
    assert placed(zones_of(observances), NOON) == (Place(NOON, BERLIN), [WarningCode.UNKNOWN_TIME_ZONE])


def test_a_rule_that_never_comes_true_takes_no_time() -> None:
    rule = "RRULE:FREQ=YEARLY;BYMONTH=2;BYDAY=5MO;BYMONTHDAY=30"
    zones = zones_of(observance("STANDARD", "16010101T000000", "+0200", "+0200", rule) * 100)
    assert placed(zones, NOON)[0].instant == datetime(2026, 7, 1, 10, tzinfo=UTC)


# Writing


@pytest.mark.parametrize(
    "tzid",
    [
        "Africa/Casablanca",
        "America/New_York",
        "America/Nuuk",
        "America/Sao_Paulo",
        "Asia/Gaza",
        "Asia/Kathmandu",
        "Asia/Tehran",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Europe/Dublin",
        "Pacific/Apia",
        "UTC",
    ],
)
@pytest.mark.parametrize("year", [1975, 2009, 2026])
def test_a_definition_shows_the_zones_clocks(tzid: str, year: int) -> None:
    """Read by Kalends' own reader under another name, because known names are not looked up."""
    text = written([Component("VCALENDAR", [definition(tzid, year)])]).replace(f"TZID:{tzid}".encode(), b"TZID:Custom")
    [calendar] = parsed(text)
    zones = Zones(Definitions(calendar), "UTC")
    moment = datetime(year, 1, 2, 12)  # noqa: DTZ001  a wall time
    while moment.year < min(year + 75, 2099):
        assert placed(zones, moment)[0].instant == moment.replace(tzinfo=zone(tzid)).astimezone(UTC)
        moment += timedelta(days=5)


@pytest.mark.parametrize("tzid", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
def test_another_reader_understands_a_definition(tzid: str) -> None:
    data = written([Component("VCALENDAR", [definition(tzid, 2025)])])
    [component] = icalendar.Calendar.from_ical(data).walk("VTIMEZONE")
    assert isinstance(component, icalendar.Timezone)
    theirs = component.to_tz(lookup_tzid=False)
    moment = datetime(2025, 2, 1, 12)  # noqa: DTZ001  a wall time
    while moment.year < 2037:
        ours = moment.replace(tzinfo=zone(tzid)).utcoffset()
        assert moment.replace(tzinfo=theirs).utcoffset() == ours
        moment += timedelta(days=9)


def test_a_zone_that_changes_every_year_has_a_rule_and_is_short() -> None:
    text = "\n".join(definition("Europe/Berlin", 2025).lines())
    assert "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU" in text
    assert "RDATE" not in text
    assert len(text) < 600
