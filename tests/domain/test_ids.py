import time
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.ids import parse_id, uuid7
from tests.helpers import NOBODY


def test_every_id_is_greater_than_the_one_before() -> None:
    ids = [uuid7() for _ in range(20_000)]
    assert all(one < other and str(one) < str(other) for one, other in pairwise(ids))


def test_an_id_is_a_uuid_of_version_7_that_holds_the_present_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 100  # a burst runs ahead of the clock


def test_ids_go_on_growing_when_the_clock_is_set_back_and_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [uuid7()]
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ids += [uuid7() for _ in range(100)]
    assert all(one < other for one, other in pairwise(ids))


@given(st.uuids())
def test_an_id_is_read_as_it_is_written_in_either_case(value: UUID) -> None:
    assert parse_id(str(value)) == parse_id(str(value).upper()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        NOBODY.hex,
        f"{{{NOBODY}}}",
        f"urn:uuid:{NOBODY}",
        f"urn:{NOBODY.hex}",
        f"{NOBODY.hex}----",
        f" {NOBODY}",
        f"{NOBODY}\n",
        "0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_00----",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 8 + "-0000-0000-0000-000000000000",
        "\ud800" * 36,
    ],
)
def test_any_other_spelling_is_no_id(text: str) -> None:
    assert parse_id(text) is None
