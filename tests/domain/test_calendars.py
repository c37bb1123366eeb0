from typing import Any

import pytest

from tests.helpers import NOW, make_calendar


def test_a_calendar_is_open_to_changes() -> None:
    assert make_calendar().closed("calendar_id") is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"read_only": True}, "CALENDAR_READ_ONLY"),
        ({"archived_at": NOW}, "CALENDAR_ARCHIVED"),
        ({"archived_at": NOW, "read_only": True}, "CALENDAR_ARCHIVED"),
    ],
)
def test_a_read_only_or_archived_calendar_is_closed_and_says_which_it_is(fields: dict[str, Any], code: str) -> None:
    calendar = make_calendar(**fields)
    problem = calendar.closed("calendar_id")
    assert problem is not None
    assert (problem.code, problem.path, problem.calendar_id) == (code, ("calendar_id",), calendar.id)
