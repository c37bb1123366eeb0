"""Every example of RFC 5545 section 3.8.5.3, as it stands there: all of them are in New York."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from kalends.domain.recurrence import Recurrence, occurrences, read_rule
from kalends.domain.time import TimeSpan, instant, zone
from tests.helpers import make_when

NEW_YORK = "America/New_York"
MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}


def days(text: str) -> list[tuple[int, int, int]]:
    """Read dates the way the document tells them: a year, months and days, a range in days as 2-11."""
    found: list[tuple[int, int, int]] = []
    year = month = 0
    for word in text.replace(",", " ").replace(";", " ").split():
        if word in MONTHS:
            month = MONTHS[word]
        elif len(word) == 4 and word.isdecimal():
            year = int(word)
        else:
            first, _, last = word.partition("-")
            found += [(year, month, day) for day in range(int(first), int(last or first) + 1)]
    return found


def series(rule: str, start: str = "1997-09-02T09:00", exdates: frozenset[datetime] = frozenset()) -> list[datetime]:
    """Return when a series of the document takes place, in the clocks' time of New York, until 2010."""
    read = read_rule(rule, tzid=NEW_YORK, all_day=False)
    assert isinstance(read, str)
    when = make_when(instant(datetime.fromisoformat(start), NEW_YORK), timedelta(minutes=15), NEW_YORK)
    window = TimeSpan(datetime(1997, 1, 1, tzinfo=UTC), datetime(2010, 1, 1, tzinfo=UTC))
    found = occurrences(when, Recurrence(read, exdates=exdates), window)
    return [each.when.span.start.astimezone(zone(NEW_YORK)).replace(tzinfo=None) for each in found]


ENDING = {
    "Daily for 10 occurrences": ("FREQ=DAILY;COUNT=10", "1997 Sep 2-11"),
    "Daily until December 24, 1997": (
        "FREQ=DAILY;UNTIL=19971224T000000Z",
        "1997 Sep 2-30 Oct 1-31 Nov 1-30 Dec 1-23",
    ),
    "Every 10 days, 5 occurrences": ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997 Sep 2 12 22 Oct 2 12"),
    "Weekly for 10 occurrences": (
        "FREQ=WEEKLY;COUNT=10",
        "1997 Sep 2 9 16 23 30 Oct 7 14 21 28 Nov 4",
    ),
    "Weekly until December 24, 1997": (
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        "1997 Sep 2 9 16 23 30 Oct 7 14 21 28 Nov 4 11 18 25 Dec 2 9 16 23",
    ),
    "Weekly on Tuesday and Thursday for five weeks, by an end": (
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        "1997 Sep 2 4 9 11 16 18 23 25 30 Oct 2",
    ),
    "Weekly on Tuesday and Thursday for five weeks, by a number": (
        "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        "1997 Sep 2 4 9 11 16 18 23 25 30 Oct 2",
    ),
    "Every other week on Tuesday and Thursday, for 8 occurrences": (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        "1997 Sep 2 4 16 18 30 Oct 2 14 16",
    ),
    "Every 18 months on the 10th thru 15th of the month for 10 occurrences": (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997 Sep 10-15 1999 Mar 10-13",
        "1997-09-10T09:00",
    ),
    "Every other week on Monday, Wednesday, and Friday until December 24, 1997": (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "1997 Sep 1 3 5 15 17 19 29 Oct 1 3 13 15 17 27 29 31 Nov 10 12 14 24 26 28 Dec 8 10 12 22",
        "1997-09-01T09:00",
    ),
    "Monthly on the first Friday for 10 occurrences": (
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "1997 Sep 5 Oct 3 Nov 7 Dec 5 1998 Jan 2 Feb 6 Mar 6 Apr 3 May 1 Jun 5",
        "1997-09-05T09:00",
    ),
    "Monthly on the first Friday until December 24, 1997": (
        "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
        "1997 Sep 5 Oct 3 Nov 7 Dec 5",
        "1997-09-05T09:00",
    ),
    "Every other month on the first and last Sunday of the month for 10 occurrences": (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997 Sep 7 28 Nov 2 30 1998 Jan 4 25 Mar 1 29 May 3 31",
        "1997-09-07T09:00",
    ),
    "Monthly on the second-to-last Monday of the month for 6 months": (
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "1997 Sep 22 Oct 20 Nov 17 Dec 22 1998 Jan 19 Feb 16",
        "1997-09-22T09:00",
    ),
    "Monthly on the 2nd and 15th of the month for 10 occurrences": (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        "1997 Sep 2 15 Oct 2 15 Nov 2 15 Dec 2 15 1998 Jan 2 15",
    ),
    "Monthly on the first and last day of the month for 10 occurrences": (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "1997 Sep 30 Oct 1 31 Nov 1 30 Dec 1 31 1998 Jan 1 31 Feb 1",
        "1997-09-30T09:00",
    ),
    "Yearly in June and July for 10 occurrences": (
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "1997 Jun 10 Jul 10 1998 Jun 10 Jul 10 1999 Jun 10 Jul 10 2000 Jun 10 Jul 10 2001 Jun 10 Jul 10",
        "1997-06-10T09:00",
    ),
    "Every other year on January, February, and March for 10 occurrences": (
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "1997 Mar 10 1999 Jan 10 Feb 10 Mar 10 2001 Jan 10 Feb 10 Mar 10 2003 Jan 10 Feb 10 Mar 10",
        "1997-03-10T09:00",
    ),
    "Every third year on the 1st, 100th, and 200th day for 10 occurrences": (
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997 Jan 1 Apr 10 Jul 19 2000 Jan 1 Apr 9 Jul 18 2003 Jan 1 Apr 10 Jul 19 2006 Jan 1",
        "1997-01-01T09:00",
    ),
    "The third instance into the month of one of Tuesday, Wednesday, or Thursday, for the next 3 months": (
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
        "1997 Sep 4 Oct 7 Nov 6",
        "1997-09-04T09:00",
    ),
    "The days are the same whichever day the week begins with, here Monday": (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
        "1997 Aug 5 10 19 24",
        "1997-08-05T09:00",
    ),
    "Changing only WKST from MO to SU yields different results": (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
        "1997 Aug 5 17 19 31",
        "1997-08-05T09:00",
    ),
    "An invalid date (February 30) is ignored": (
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        "2007 Jan 15 30 Feb 15 Mar 15 30",
        "2007-01-15T09:00",
    ),
}
FOR_EVER = {
    "Every other day": (
        "FREQ=DAILY;INTERVAL=2",
        "1997 Sep 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 Oct 2 4 6",
    ),
    "Every other week": (
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        "1997 Sep 2 16 30 Oct 14 28 Nov 11 25 Dec 9 23 1998 Jan 6 20 Feb 3 17",
    ),
    "Monthly on the third-to-the-last day of the month": (
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "1997 Sep 28 Oct 29 Nov 28 Dec 29 1998 Jan 29 Feb 26",
        "1997-09-28T09:00",
    ),
    "Every Tuesday, every other month": (
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        "1997 Sep 2 9 16 23 30 Nov 4 11 18 25 1998 Jan 6 13 20 27 Mar 3 10 17 24 31",
    ),
    "Every 20th Monday of the year": (
        "FREQ=YEARLY;BYDAY=20MO",
        "1997 May 19 1998 May 18 1999 May 17",
        "1997-05-19T09:00",
    ),
    "Monday of week number 20": (
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "1997 May 12 1998 May 11 1999 May 17",
        "1997-05-12T09:00",
    ),
    "Every Thursday in March": (
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        "1997 Mar 13 20 27 1998 Mar 5 12 19 26 1999 Mar 4 11 18 25",
        "1997-03-13T09:00",
    ),
    "Every Thursday, but only during June, July, and August": (
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "1997 Jun 5 12 19 26 Jul 3 10 17 24 31 Aug 7 14 21 28 1998 Jun 4 11 18 25 Jul 2 9 16 23 30 Aug 6 13 20 27",
        "1997-06-05T09:00",
    ),
    "The first Saturday that follows the first Sunday of the month": (
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "1997 Sep 13 Oct 11 Nov 8 Dec 13 1998 Jan 10 Feb 7 Mar 7 Apr 11 May 9 Jun 13",
        "1997-09-13T09:00",
    ),
    "Every 4 years, the first Tuesday after a Monday in November": (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996 Nov 5 2000 Nov 7 2004 Nov 2",
        "1996-11-05T09:00",
    ),
    "The second-to-last weekday of the month": (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "1997 Sep 29 Oct 30 Nov 27 Dec 30 1998 Jan 29 Feb 26 Mar 30",
        "1997-09-29T09:00",
    ),
}


def at_nine(text: str) -> list[datetime]:
    return [datetime(year, month, day, 9) for year, month, day in days(text)]  # noqa: DTZ001  a wall time


@pytest.mark.parametrize(
    ("rule", "told", "start"), [(*each, "1997-09-02T09:00")[:3] for each in ENDING.values()], ids=ENDING
)
def test_a_rule_that_ends_takes_place_then_and_never_else(rule: str, told: str, start: str) -> None:
    assert series(rule, start) == at_nine(told)


@pytest.mark.parametrize(
    ("rule", "told", "start"), [(*each, "1997-09-02T09:00")[:3] for each in FOR_EVER.values()], ids=FOR_EVER
)
def test_a_rule_that_goes_on_begins_as_the_document_says(rule: str, told: str, start: str) -> None:
    dates = [each for each in at_nine(told) if each.year > 1996]
    assert series(rule, start)[: len(dates)] == dates


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
        "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1",
    ],
)
def test_every_day_in_january_for_3_years(rule: str) -> None:
    assert series(rule, "1998-01-01T09:00") == at_nine("1998 Jan 1-31 1999 Jan 1-31 2000 Jan 1-31")


def test_every_friday_the_13th_without_the_day_on_which_it_begins() -> None:
    begun = frozenset({datetime(1997, 9, 2, 9)})  # noqa: DTZ001  a wall time
    found = series("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", exdates=begun)
    assert found[:5] == at_nine("1998 Feb 13 Mar 13 Nov 13 1999 Aug 13 2000 Oct 13")


def test_every_3_hours_until_17_o_clock_of_a_day() -> None:
    found = series("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z")
    # 17:00 in UTC is 13:00 in New York; the document's own list, up to 15:00, is wrong, as its errata say.
    assert [each.hour for each in found] == [9, 12]


def test_every_20_minutes_from_9_to_16_40_is_said_by_hours_of_days_three_times() -> None:
    hours = "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE={}"
    found = sorted(
        each for minute in (0, 20, 40) for each in series(hours.format(minute), f"1997-09-02T09:{minute:02}")
    )
    assert found[0] == datetime(1997, 9, 2, 9)  # noqa: DTZ001  a wall time
    first_day = [each for each in found if each.day == 2 and each.month == 9 and each.year == 1997]
    assert len(first_day) == 24
    assert {later - earlier for earlier, later in pairwise(first_day)} == {timedelta(minutes=20)}
    assert first_day[-1].time().isoformat() == "16:40:00"


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MINUTELY;INTERVAL=15;COUNT=6",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
    ],
)
def test_the_examples_that_repeat_within_an_hour_are_refused(rule: str) -> None:
    assert not isinstance(read_rule(rule, tzid=NEW_YORK, all_day=False), str)
