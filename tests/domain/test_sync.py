from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.events import EventState
from kalends.domain.sync import (
    LONGEST_PAUSE,
    Conflict,
    Intent,
    Link,
    Source,
    SyncState,
    SyncStatus,
    SyncWarning,
    WarningCode,
    pause_after,
    sync_state,
)
from tests.helpers import HOUR, NOW, make_content, make_when

EVENT, CALENDAR = uuid4(), uuid4()


def link(local: int = 1, pushed: int = 0) -> Link:
    return Link(EVENT, CALENDAR, local, pushed, pushed, 0, "remote", '"1"', "https://cal.example/1", NOW)


def intent(attempts: int = 0, due_at: datetime | None = NOW + HOUR, error: str | None = None) -> Intent:
    return Intent(EVENT, CALENDAR, attempts, due_at, error)


@pytest.mark.parametrize("parked", [False, True])
def test_an_event_without_a_counterpart_lives_only_here(parked: bool) -> None:
    assert sync_state("local", None, intent(), parked=parked) == SyncState(SyncStatus.LOCAL, "local")


@pytest.mark.parametrize(
    ("local", "pushed", "wish", "parked", "status"),
    [
        (2, 2, None, False, SyncStatus.SYNCED),
        (2, 2, None, True, SyncStatus.SYNCED),
        (2, 1, None, False, SyncStatus.PENDING),  # the sweeper will find it
        (1, 0, intent(), False, SyncStatus.PENDING),
        (2, 2, intent(), False, SyncStatus.PENDING),
        (1, 0, intent(attempts=3), False, SyncStatus.RETRYING),
        (1, 0, intent(attempts=3), True, SyncStatus.PARKED),
        (1, 0, intent(attempts=9, due_at=None), False, SyncStatus.FAILED),
        (1, 0, intent(attempts=9, due_at=None), True, SyncStatus.FAILED),
    ],
)
def test_where_an_event_stands_with_its_provider(
    local: int, pushed: int, wish: Intent | None, parked: bool, status: SyncStatus
) -> None:
    assert sync_state("google", link(local, pushed), wish, parked=parked).status is status


def test_the_state_says_what_the_link_and_the_intent_know() -> None:
    assert sync_state("google", link(), intent(2, error="503"), parked=False) == SyncState(
        SyncStatus.RETRYING,
        "google",
        attempts=2,
        last_error="503",
        next_attempt_at=NOW + HOUR,
        last_synced_at=NOW,
        remote_url="https://cal.example/1",
    )
    assert sync_state("google", link(), intent(2), parked=True).next_attempt_at is None


CONFLICT = Conflict(EventState(make_when(), make_content("Theirs")), '"5"', ("summary",))


@pytest.mark.parametrize("wish", [None, intent(), intent(attempts=9, due_at=None)])
@pytest.mark.parametrize("parked", [False, True])
def test_a_conflict_waits_for_a_person_whatever_else_there_is(wish: Intent | None, parked: bool) -> None:
    state = sync_state("google", replace(link(), conflict=CONFLICT), wish, parked=parked)
    assert (state.status, state.conflict) == (SyncStatus.CONFLICT, CONFLICT)


def test_the_state_tells_what_is_not_the_same_on_both_sides() -> None:
    warnings = (SyncWarning(WarningCode.METADATA_NOT_SENT, "It keeps no metadata."),)
    assert sync_state("google", replace(link(1, 1), warnings=warnings), None, parked=False).warnings == warnings


def test_a_calendar_can_be_written_to_when_all_that_is_there_is_known_and_it_is_there() -> None:
    source = Source(CALENDAR)
    assert not source.writable
    assert replace(source, full_at=NOW).writable
    assert not replace(source, full_at=NOW, gone=NOW).writable


def test_the_pause_doubles_with_every_failure_up_to_a_quarter_of_an_hour() -> None:
    assert [pause_after(n, 0).total_seconds() for n in range(1, 12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
    assert pause_after(3, 0.5) == timedelta(seconds=4.5)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest(failures: int, chance: float) -> None:
    assert timedelta(seconds=1) <= pause_after(failures, chance) <= LONGEST_PAUSE
