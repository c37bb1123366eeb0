from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.errors import Malformed
from kalends.domain.values import (
    FIRST_YEAR,
    LAST_YEAR,
    read_date,
    read_duration,
    read_email,
    read_instant,
    read_instant_or_date,
    read_metadata,
    read_text,
    read_time_of_day,
    utc_now,
    written_duration,
)
from tests.helpers import wall

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(categories=None)), st.binary()
)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-05-01T09:00:00+02:00", "2026-05-01T07:00:00+00:00"),
        ("2026-05-01T09:00:00Z", "2026-05-01T09:00:00+00:00"),
        ("2026-05-01t09:00:00z", "2026-05-01T09:00:00+00:00"),
        ("2026-05-01T09:00:00-00:00", "2026-05-01T09:00:00+00:00"),
        ("2026-05-01T09:00+02:00", "2026-05-01T07:00:00+00:00"),
        ("2026-05-01T09:00:00.000Z", "2026-05-01T09:00:00+00:00"),
        ("2026-05-01T09:00:00.000000000-23:59", "2026-05-02T08:59:00+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("2200-12-31T23:59:59Z", "2200-12-31T23:59:59+00:00"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"),
    ],
)
def test_an_rfc_3339_date_time_is_read(text: str, utc: str) -> None:
    moment = read_instant(text)
    assert isinstance(moment, datetime)
    assert moment.astimezone(UTC).isoformat() == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-05-01",
        "2026-05-01T09:00:00",  # naive
        "2026-05-01 09:00:00Z",
        "2026-05-01T09:00:00.5Z",
        "2026-05-01T09:00:00.000001Z",
        "2026-05-01T09:00:00,0Z",
        "2026-05-01T09Z",
        "2016-12-31T23:59:60Z",  # a leap second
        "2026-05-01T24:00:00Z",
        "2026-05-01T09:60:00Z",
        "2026-05-01T09:00:00+02",
        "2026-05-01T09:00:00+0200",
        "2026-05-01T09:00:00+24:00",
        "2026-05-01T09:00:00+01:60",
        "2026-05-01T09:00:00+02:00[Europe/Berlin]",
        "2026-05-01T09:00:00 +02:00",
        "2026-02-29T09:00:00Z",
        "2026-00-01T09:00:00Z",
        "2026-W18-5T09:00:00Z",
        "2026-121T09:00:00Z",
        "20260501T090000Z",
        "1969-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "+2026-05-01T09:00:00Z",
        "\N{FULLWIDTH DIGIT TWO}026-05-01T09:00:00Z",
        "2026-05-01T0\N{ARABIC-INDIC DIGIT NINE}:00:00Z",
        "2026-05-01T09:00:00Z\n",
        " 2026-05-01T09:00:00Z",
        "2026-05-01T09:00:00\0Z",
        "2026-05-01T09:00:00\u2212" + "02:00",
        "\ud800",
        1777622400,
        None,
        datetime(2026, 5, 1, tzinfo=UTC),
    ],
)
def test_what_is_no_rfc_3339_date_time_in_whole_seconds_is_refused(text: object) -> None:
    assert isinstance(read_instant(text), Malformed)


def test_z_names_an_instant_only_and_an_offset_of_zero_the_local_clocks_too() -> None:
    zulu, zero = read_instant("2026-05-01T09:00:00Z"), read_instant("2026-05-01T09:00:00+00:00")
    assert isinstance(zulu, datetime)
    assert isinstance(zero, datetime)
    assert zulu == zero
    assert zulu.tzinfo is UTC
    assert zero.tzinfo is not UTC


@given(st.datetimes(wall("1970-01-01"), wall("2200-12-31"), timezones=offsets))
def test_an_instant_survives_being_written_and_read(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    again = read_instant(moment.isoformat())
    assert isinstance(again, datetime)
    assert (again, again.utcoffset()) == (moment, moment.utcoffset())


@pytest.mark.parametrize(
    "text",
    [
        "2026-5-1",
        "20260501",
        "2026-W18-5",
        "2026-121",
        "2026-02-29",
        "1969-12-31",
        "2201-01-01",
        "\N{FULLWIDTH DIGIT TWO}026-05-01",
        "2026-05-01Z",
        "2026-05-01\n",
        "",
        None,
        20260501,
        date(2026, 5, 1),
    ],
)
def test_what_is_no_rfc_3339_full_date_is_refused(text: object) -> None:
    assert isinstance(read_date(text), Malformed)
    assert isinstance(read_instant_or_date(text), Malformed)


@given(st.dates(date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)))
def test_a_date_survives_being_written_and_read(day: date) -> None:
    assert read_date(day.isoformat()) == read_instant_or_date(day.isoformat()) == day


@given(anything)
def test_no_reader_raises_whatever_it_is_given(value: object) -> None:
    for reader in (read_instant, read_date, read_instant_or_date, read_email, read_metadata):
        reader(value)


# Addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada.Lovelace@EXAMPLE.org", "Ada.Lovelace@example.org"),
        ("a+b/c=d!#$%&'*?^_`{|}~-@x", "a+b/c=d!#$%&'*?^_`{|}~-@x"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
        (f"a@{'b' * 63}.org", f"a@{'b' * 63}.org"),
    ],
)
def test_an_address_keeps_its_local_part_and_folds_its_domain(text: str, address: str) -> None:
    assert read_email(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@@example.org",
        "ada@example..org",
        "ada@-example.org",
        "ada@example-.org",
        "ada@example.org.",
        "ada lovelace@example.org",
        "Ada <ada@example.org>",
        "mailto:ada@example.org",
        '"ada"@example.org',
        "ada@[127.0.0.1]",
        "ädä@example.org",
        "ada@bücher.example",
        "ada@example.org\n",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada\0@example.org",
        f"{'a' * 65}@example.org",
        f"a@{'b' * 64}.org",
        f"{'a' * 60}@{'.'.join(['b' * 60] * 4)}",
        None,
        3,
    ],
)
def test_what_a_browser_would_not_take_as_an_address_is_refused(text: object) -> None:
    assert isinstance(read_email(text), Malformed)


# Text


@pytest.mark.parametrize("text", ["", "x" * 10, "two\r\nlines\tand a tab", "\u202eright", "👩‍👩‍👧", "\x85\u2028"])
def test_text_within_its_limit_is_taken_as_it_is(text: str) -> None:
    assert read_text(text, at_most=24) == text


@pytest.mark.parametrize("character", ["\0", "\x01", "\x08", "\x0b", "\x0c", "\x1f", "\x7f", "\udfff"])
def test_control_characters_and_lone_surrogates_are_refused(character: str) -> None:
    assert isinstance(read_text(f"a{character}b", at_most=10), Malformed)


def test_a_limit_counts_characters_and_not_bytes() -> None:
    assert read_text("🗓" * 10, at_most=10) == "🗓" * 10
    assert isinstance(read_text("🗓" * 11, at_most=10), Malformed)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u2003\u00a0"])
def test_required_text_is_more_than_white_space(text: str) -> None:
    assert isinstance(read_text(text, at_least=1, at_most=10), Malformed)
    assert read_text(text, at_most=10) == text


@given(st.text(st.characters(categories=None), max_size=30))
def test_accepted_text_can_be_carried_in_utf_8(text: str) -> None:
    if read_text(text, at_most=30) == text:
        assert text.encode().decode() == text
        assert "\0" not in text


# Metadata


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"k": ""},
        {"k" * 44: "v" * 1024},
        {str(number): "v" for number in range(50)},
    ],
)
def test_metadata_within_its_limits_is_taken_as_it_is(value: dict[str, str]) -> None:
    assert read_metadata(value) == value


@pytest.mark.parametrize(
    "value",
    [
        {str(number): "v" for number in range(51)},
        {"k" * 45: "v"},
        {"k": "v" * 1025},
        {"": "v"},
        {" ": "v"},
        {"k": None},
        {"k": 1},
        {1: "v"},
        {"k": {"nested": "v"}},
        {"k": "\0"},
        {"\ud800": "v"},
        ["k"],
        "k",
        None,
    ],
)
def test_metadata_beyond_its_limits_is_refused(value: object) -> None:
    assert isinstance(read_metadata(value), Malformed)


def test_the_default_clock_is_in_utc() -> None:
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "clock"),
    [("00:00", time()), ("09:05", time(9, 5)), ("23:59:59", time(23, 59, 59)), ("24:00", time()), ("24:00:00", time())],
)
def test_a_time_of_day_is_read(text: str, clock: time) -> None:
    assert read_time_of_day(text) == clock


@pytest.mark.parametrize(
    "text", ["", "9:00", "0900", "24:01", "09:60", "09:00:60", "09:00Z", "09:00 ", "\u0660\u0669:\u0660\u0660", 9, None]
)
def test_what_is_no_time_of_day_is_malformed(text: object) -> None:
    assert isinstance(read_time_of_day(text), Malformed)


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("PT0S", 0, "PT0S"),
        ("P0D", 0, "PT0S"),
        ("PT30M", 1_800, "PT30M"),
        ("PT90M", 5_400, "PT1H30M"),
        ("P1W", 604_800, "P7D"),
        ("P1DT12H", 129_600, "P1DT12H"),
        ("PT1H0M5S", 3_605, "PT1H5S"),
        ("PT86400S", 86_400, "P1D"),
    ],
)
def test_a_duration_is_read_and_written(text: str, seconds: int, written: str) -> None:
    found = read_duration(text)
    assert found == timedelta(seconds=seconds)
    assert isinstance(found, timedelta)
    assert written_duration(found) == written


@given(st.integers(0, 10**9))
def test_a_duration_survives_the_way_there_and_back(seconds: int) -> None:
    assert read_duration(written_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1", "1D", "-PT1H", "P1Y", "P1M", "PT1.5H", "P1DT", "P1W1D", "pt1h", "PT1H ", 60, None]
)
def test_what_is_no_duration_is_malformed(text: object) -> None:
    assert isinstance(read_duration(text), Malformed)


@given(anything)
def test_times_of_day_and_durations_are_read_without_raising(value: object) -> None:
    assert isinstance(read_time_of_day(value), time | Malformed)
    assert isinstance(read_duration(value), timedelta | Malformed)
