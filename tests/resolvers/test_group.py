"""Requests that arrive together share a transaction, and each is answered as if it were alone."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as listen
from sqlalchemy import exc, text

from kalends.domain.access import Principal, Scope
from kalends.domain.calendars import Calendar
from kalends.domain.errors import Refused
from kalends.domain.events import ConflictPolicy
from resolvers import events, group
from resolvers.events import NewEvent, Written
from resolvers.group import Again, Groups
from storage.engine import Database
from storage.errors import Unacknowledged, Unavailable
from storage.event_pages import EVENTS
from storage.unit_of_work import Storage
from tests.api import count_rows, dump
from tests.helpers import DAY, HOUR, NOW, add_calendar, recorded, until_somebody_waits
from tests.resolvers.sync_stage import Stage, connect

pytestmark = pytest.mark.anyio

APP = UUID(int=1)
REJECT, WARN = ConflictPolicy.REJECT, ConflictPolicy.WARN
SUMMARY = EVENTS.c.keys().index("summary")


# Who is written with whom


class Writer:
    """Writes what it is given when it is let, and remembers what it was given at once."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gate = asyncio.Event()
        self.failing: dict[str, Exception] = {}

    async def __call__(self, requests: Sequence[str]) -> list[str | Exception]:
        self.groups.append(list(requests))
        await self.gate.wait()
        for each in requests:
            if each in self.failing:
                raise self.failing[each]
        return [Refused() if each.startswith("bad") else each.upper() for each in requests]


def joining(
    groups: Groups[str, str], writer: Writer, *requests: str, place: UUID = APP, size: int = 1, at_once: int = 2
) -> list[asyncio.Task[str]]:
    return [
        asyncio.create_task(
            groups.join(APP, each, writer, places={place}, size=size, at_once=at_once, unheard=forgotten)
        )
        for each in requests
    ]


async def forgotten(_answer: str) -> None:
    """Miss nothing."""


async def settle() -> None:
    """Let everybody go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def ended(*tasks: asyncio.Task[str]) -> list[str]:
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [each if isinstance(each, str) else type(each).__name__ for each in found]


async def test_who_finds_nobody_begins_at_once_and_who_comes_meanwhile_is_the_next_group() -> None:
    groups, writer = Groups[str, str](), Writer()
    tasks = joining(groups, writer, "a")
    await settle()
    for later in ("b", "c", "d"):
        tasks += joining(groups, writer, later)
        await settle()
    assert writer.groups == [["a"]]
    writer.gate.set()
    assert await ended(*tasks) == ["A", "B", "C", "D"]
    assert writer.groups == [["a"], ["b", "c", "d"]]


async def test_a_group_holds_no_more_than_it_may_but_at_least_one() -> None:
    groups, writer = Groups[str, str](largest=5), Writer()
    writer.gate.set()
    tasks = joining(groups, writer, "a", "b", size=2) + joining(groups, writer, "c", size=9)
    tasks += joining(groups, writer, "d", "e")
    assert await ended(*tasks) == ["A", "B", "C", "D", "E"]
    assert writer.groups == [["a", "b"], ["c"], ["d", "e"]]


async def test_a_group_that_is_held_up_holds_up_its_own_calendars_only() -> None:
    groups, stuck, writer = Groups[str, str](), Writer(), Writer()
    here, there = uuid4(), uuid4()
    waiting = joining(groups, stuck, "a", place=here)
    await settle()
    waiting += joining(groups, writer, "b", place=here)
    writer.gate.set()
    assert await ended(*joining(groups, writer, "c", "d", place=there)) == ["C", "D"]
    stuck.gate.set()
    assert await ended(*waiting) == ["A", "B"]
    assert (stuck.groups, writer.groups) == ([["a"], ["b"]], [["c", "d"]])


async def test_no_more_groups_are_under_way_than_may_be() -> None:
    groups, writer = Groups[str, str](), Writer()
    tasks = []
    for each in "abcd":
        tasks += joining(groups, writer, each, place=uuid4())
        await settle()
    assert writer.groups == [["a"], ["b"]]
    writer.gate.set()
    assert await ended(*tasks) == ["A", "B", "C", "D"]
    assert writer.groups == [["a"], ["b"], ["c", "d"]]


async def test_apps_do_not_wait_for_each_other() -> None:
    groups, stuck, writer = Groups[str, str](), Writer(), Writer()
    (waiting,) = joining(groups, stuck, "a")
    await settle()
    writer.gate.set()
    assert await groups.join(UUID(int=2), "b", writer, places={APP}, size=1, at_once=1, unheard=forgotten) == "B"
    stuck.gate.set()
    assert await waiting == "A"


async def test_a_refusal_and_a_failure_are_their_own_callers_alone() -> None:
    groups, writer = Groups[str, str](), Writer()
    writer.gate.set()
    writer.failing = {"x": ValueError("x"), "y": Unavailable("y")}
    tasks = joining(groups, writer, "a", "bad b", "x", "c", "y", "d")
    assert await ended(*tasks) == ["A", "Refused", "ValueError", "C", "Unavailable", "D"]
    assert writer.groups == [["a", "bad b", "x", "c", "y", "d"], ["a"], ["bad b"], ["x"], ["c"], ["y"], ["d"]]


async def test_a_commit_that_is_not_answered_is_not_repeated() -> None:
    groups, writer = Groups[str, str](), Writer()
    writer.gate.set()
    writer.failing = {"a": Unacknowledged("gone")}
    assert await ended(*joining(groups, writer, "a", "b")) == ["Unacknowledged"] * 2
    assert writer.groups == [["a", "b"]]


async def test_what_was_overtaken_is_decided_anew() -> None:
    answers: list[Exception | None] = [Again(), Again(), None]

    async def write(requests: Sequence[str]) -> list[str | Exception]:
        if overtaken := answers.pop(0):
            raise overtaken
        return list(requests)

    assert await Groups[str, str]().join(APP, "a", write, places=(), size=1, at_once=1, unheard=forgotten) == "a"


async def test_who_leaves_takes_along_what_waits_and_nothing_of_the_others() -> None:
    groups, writer = Groups[str, str](), Writer()
    tasks = joining(groups, writer, "a", "b")
    await settle()
    tasks += joining(groups, writer, "c", "d")
    await settle()
    tasks[0].cancel()
    tasks[2].cancel()
    writer.gate.set()
    assert await ended(*tasks) == ["CancelledError", "B", "CancelledError", "D"]
    assert writer.groups == [["a", "b"], ["d"]]
    assert await ended(*joining(groups, writer, "e")) == ["E"]


async def test_the_answer_to_who_has_left_is_not_lost() -> None:
    groups, writer, lost = Groups[str, str](), Writer(), list[str]()

    async def unheard(answer: str) -> None:
        lost.append(answer)

    async def caller(request: str) -> str:
        return await groups.join(APP, request, writer, places={APP}, size=1, at_once=1, unheard=unheard)

    early, late, bad, there = [asyncio.create_task(caller(each)) for each in ("a", "b", "bad c", "d")]
    await settle()
    early.cancel()
    bad.cancel()
    writer.gate.set()
    while not there.done():
        await asyncio.sleep(0)
        late.cancel()  # also between the answer and its arrival
    await settle()
    assert await ended(early, late, bad, there) == ["CancelledError"] * 3 + ["D"]
    assert sorted(lost) == ["A", "B"]


# New events


async def create(stage: Stage, *news: NewEvent, principal: Principal | None = None, **options: Any) -> Written:
    return await events.create_events(
        stage.services, principal or stage.principal, news, operation="createEvent", **options
    )


async def together(*calls: Any) -> list[Any]:
    """Make calls that arrive together, and return what each returned or raised."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


def outcomes(found: Sequence[Any]) -> list[str]:
    """Word how calls ended: `done`, the codes of a refusal, or the name of what was raised."""
    return [
        "done"
        if isinstance(each, Written)
        else " ".join(problem.code for problem in each.problems)
        if isinstance(each, Refused)
        else type(each).__name__
        for each in found
    ]


@contextmanager
def transactions(stage: Stage) -> Iterator[list[int]]:
    """Count how many requests each transaction was given."""
    sizes: list[int] = []
    original = events._write

    async def counting(services: Any, app_id: UUID, creations: Sequence[Any]) -> Any:
        sizes.append(len(creations))
        return await original(services, app_id, creations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "_write", counting)
        yield sizes


async def poison(database: Database) -> None:
    """Have the database refuse events of one name."""
    statement = "ALTER TABLE event ADD CONSTRAINT no_poison CHECK (summary <> 'Poison')"
    if database.is_sqlite:
        statement = (
            "CREATE TRIGGER no_poison BEFORE INSERT ON event WHEN NEW.summary = 'Poison' "
            "BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    async with database.writer.begin() as connection:
        await connection.execute(text(statement))


async def test_of_1000_concurrent_writes_with_27_poisoned_exactly_27_fail(stage: Stage, database: Database) -> None:
    await poison(database)
    names = ["Poison" if number % 37 == 5 else f"Nr {number}" for number in range(1_000)]
    assert names.count("Poison") == 27
    local = await add_calendar(stage.storage, stage.app_id)
    with transactions(stage) as sizes:
        found = await together(*(create(stage, stage.draft(name, calendar=local)) for name in names))
    failed = [name for name, each in zip(names, found, strict=True) if isinstance(each, exc.IntegrityError)]
    assert failed == ["Poison"] * 27
    assert Counter(outcomes(found)) == {"done": 973, "IntegrityError": 27}
    assert sorted(row[SUMMARY] for row in (await dump(database))["event"]) == sorted(set(names) - {"Poison"})
    assert (await count_rows(database))["change"] == 973
    assert max(sizes) == group.LARGEST


async def test_bad_requests_in_a_group_fail_exactly_their_own_callers(
    stage: Stage, storage: Storage, other_app_id: UUID
) -> None:
    foreign = await add_calendar(storage, other_app_id)
    archived = await add_calendar(storage, stage.app_id, archived_at=NOW)
    wanted = [
        [stage.draft("Fine")],
        [stage.draft("Foreign", calendar=foreign)],
        [stage.draft(" ")],
        [NewEvent(None, stage.draft().draft)],
        [stage.draft("Archived", calendar=archived)],
        [stage.draft("Half"), stage.draft("Other half", calendar=foreign)],
        [stage.draft("One"), stage.draft("Two")],
    ]
    with transactions(stage) as sizes:
        found = await together(*(create(stage, *each) for each in wanted))
    assert sizes == [len(wanted)]
    refused = ["NOT_FOUND", "INVALID_VALUE", "NOT_FOUND", "CALENDAR_ARCHIVED", "NOT_FOUND"]
    assert outcomes(found) == ["done", *refused, "done"]
    assert [each.path for each in found[5].problems] == [("1", "calendar_id")]
    names = {event.content.summary for each in found if isinstance(each, Written) for event in each.events}
    assert names == {"Fine", "One", "Two"}
    assert (await count_rows(storage.database))["event"] == 3


async def test_of_those_who_want_one_slot_the_first_of_the_group_has_it(stage: Stage) -> None:
    await stage.create("Before", start=NOW + DAY, end=NOW + DAY + HOUR)
    slots = [0, 0, 1, 1, 0]
    drafts = [
        stage.draft(f"Nr {number}", start=NOW + day * DAY, end=NOW + day * DAY + HOUR, on_conflict=REJECT)
        for number, day in enumerate(slots)
    ]
    warned = stage.draft("Warned", on_conflict=WARN)
    with transactions(stage) as sizes:
        found = await together(*(create(stage, each) for each in (*drafts, warned)))
    assert sizes == [6]
    assert outcomes(found) == ["done", *["TIME_CONFLICT"] * 4, "done"]
    first = found[0].event
    (problem,) = found[1].problems
    assert [event.id for each in problem.collisions for event in each.events] == [first.id]
    assert [event.id for event in found[5].conflicts[found[5].event.id]] == [first.id]


async def test_what_was_refused_is_in_nobodys_way(stage: Stage) -> None:
    half = [stage.draft("Half", on_conflict=REJECT), stage.draft(" ")]
    found = await together(create(stage, *half), create(stage, stage.draft("Whole", on_conflict=REJECT)))
    assert outcomes(found) == ["INVALID_VALUE", "done"]


async def test_a_group_tells_of_those_in_the_way_what_each_caller_may_know(stage: Stage) -> None:
    writer = replace(stage.principal, scopes=frozenset({Scope.WRITE_EVENTS}))
    found = await together(
        create(stage, stage.draft("First")),
        create(stage, stage.draft(on_conflict=REJECT), principal=writer),
        create(stage, stage.draft(on_conflict=REJECT)),
    )
    assert outcomes(found) == ["done", "TIME_CONFLICT", "TIME_CONFLICT"]
    told = [[len(each.events) for each in answer.problems[0].collisions] for answer in found[1:]]
    assert told == [[0], [1]]


async def test_one_key_in_a_group_is_used_once(stage: Stage, storage: Storage) -> None:
    same, other = stage.draft("Same", on_conflict=REJECT), stage.draft("Other", start=NOW + DAY, end=NOW + DAY + HOUR)
    with transactions(stage) as sizes:
        found = await together(
            *(create(stage, same, idempotency_key="k") for _ in range(5)),
            create(stage, other, idempotency_key="k"),
            create(stage, other, idempotency_key="k", principal=replace(stage.principal, key_id=UUID(int=8))),
        )
    assert sizes == [7]
    assert outcomes(found) == ["done"] * 5 + ["IDEMPOTENCY_KEY_REUSED", "done"]
    assert len({each.event.id for each in found[:5]}) == 1
    rows = await count_rows(storage.database)
    assert (rows["event"], rows["idempotency"], rows["change"]) == (2, 2, 2)


async def test_a_refusal_in_a_group_leaves_its_key_to_the_next(stage: Stage) -> None:
    taken, free = stage.draft(on_conflict=REJECT), stage.draft("Free", start=NOW + DAY, end=NOW + DAY + HOUR)
    found = await together(
        create(stage, stage.draft("First")),
        create(stage, taken, idempotency_key="k"),
        create(stage, free, idempotency_key="k"),
        create(stage, taken, idempotency_key="k"),
    )
    assert outcomes(found) == ["done", "TIME_CONFLICT", "done", "IDEMPOTENCY_KEY_REUSED"]
    assert (await create(stage, free, idempotency_key="k")).event.id == found[2].event.id


async def test_a_key_that_another_process_uses_meanwhile_is_a_replay(stage: Stage, storage: Storage) -> None:
    draft = stage.draft("Once")
    elsewhere = replace(stage.services, groups=Groups())
    found = await together(
        *(
            events.create_events(
                services, stage.principal, [draft], operation="createEvent", idempotency_key=f"k{number}"
            )
            for number in range(10)
            for services in (stage.services, elsewhere)
        )
    )
    assert outcomes(found) == ["done"] * 20
    assert len({each.event.id for each in found}) == 10
    assert (await count_rows(storage.database))["event"] == 10


async def test_a_commit_without_an_answer_fails_the_group_and_its_keys_tell_what_happened(
    stage: Stage, storage: Storage
) -> None:
    write = events._write

    async def unanswered(*request: Any) -> None:
        await write(*request)
        raise Unacknowledged("the line is dead")

    def calls() -> list[Any]:
        return [create(stage, stage.draft(f"Nr {number}"), idempotency_key=f"k{number}") for number in range(3)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "_write", unanswered)
        assert outcomes(await together(*calls())) == ["Unacknowledged"] * 3
    assert outcomes(await together(*calls())) == ["done"] * 3
    assert (await count_rows(storage.database))["event"] == 3


async def test_a_caller_who_leaves_takes_nobody_along(stage: Stage, storage: Storage) -> None:
    tasks = [asyncio.create_task(create(stage, stage.draft(f"Nr {number}"))) for number in range(5)]
    for _ in range(3):
        await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found].count(asyncio.CancelledError) == 2
    assert [outcomes([found[number]]) for number in (1, 2, 4)] == [["done"]] * 3
    rows = await count_rows(storage.database)
    assert rows["event"] == rows["change"] == rows["link"] == rows["outbox"] >= 3


async def test_one_lane_is_leased_once_for_a_group_and_everything_arrives(stage: Stage) -> None:
    async def work() -> None:
        """Work the lanes, as a worker does meanwhile."""
        while True:
            await stage.turn()
            await asyncio.sleep(0.01)

    worker = asyncio.create_task(work())
    found = await together(*(create(stage, stage.draft(f"Nr {number}"), sync_now=True) for number in range(3)))
    worker.cancel()
    assert outcomes(found) == ["done"] * 3
    await stage.drain()
    assert [(await stage.state(each.event)).status.name for each in found] == ["SYNCED"] * 3


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_calendar_that_somebody_holds_holds_up_no_other(stage: Stage, storage: Storage) -> None:
    held, free = [await add_calendar(storage, stage.app_id) for _ in range(2)]
    async with storage.writing(stage.app_id) as work:
        await work.calendars.book([held.id], alone=True)
        waiting = asyncio.create_task(create(stage, stage.draft("Later", calendar=held)))
        await until_somebody_waits(storage.database)
        also = asyncio.create_task(create(stage, stage.draft("Later still", calendar=held)))
        assert (await create(stage, stage.draft("Now", calendar=free))).event.content.summary == "Now"
        assert not waiting.done()
    assert outcomes(await together(waiting, also)) == ["done"] * 2


# As if alone


def requests(stage: Stage, here: Calendar, remote: Calendar) -> list[dict[str, Any]]:
    """Return requests of every kind, in order."""
    weekly = {"recurrence": None}
    late = {"start": NOW + DAY, "end": NOW + DAY + HOUR}
    return [
        {"news": [stage.draft("One", calendar=here)]},
        {"news": [stage.draft("Two", calendar=remote), stage.draft("Three", calendar=here, **late)]},
        {"news": [stage.draft("Taken", calendar=here, on_conflict=REJECT)], "idempotency_key": "taken"},
        {"news": [stage.draft("Keyed", calendar=remote, **late)], "idempotency_key": "keyed"},
        {"news": [stage.draft("Keyed", calendar=remote, **late)], "idempotency_key": "keyed"},
        {"news": [stage.draft("Other", calendar=remote, **late)], "idempotency_key": "keyed"},
        {"news": [stage.draft("Warned", calendar=remote, on_conflict=WARN, description="ü" * 2000)]},
        {"news": [stage.draft("Free", calendar=here, transparent=True, metadata={"a": "b"}, **weekly)]},
        {"news": [stage.draft("Half", calendar=here), stage.draft("", calendar=here)]},
        {"news": [stage.draft("Last", calendar=remote)]},
    ]


async def written(database: Database, app_id: UUID, names: dict[UUID, str]) -> dict[str, list[Any]]:
    """Return what an app has stored, in words that two apps share: names for ids, and the order of what is ordered."""
    tables = await dump(database, app_id)
    names = names | {row[1]: row[SUMMARY] for row in tables["event"]}
    plain: dict[str, list[Any]] = {}
    for table in ("event", "change", "link", "idempotency", "occurrence", "series"):
        plain[table] = [_plain(row, names) for row in tables[table]]
    plain["change"] = [[value for value in row if not isinstance(value, int)] for row in plain["change"]]
    positions = sorted(tables["outbox"], key=lambda row: row[3])
    plain["outbox"] = [_plain(row, names)[:4] for row in positions]
    plain["lane"] = sorted(_plain(row, names)[:2] for row in tables["lane"])
    return plain


def _plain(row: Sequence[Any], names: dict[UUID, str]) -> list[Any]:
    def word(value: Any) -> Any:
        if isinstance(value, UUID):
            return names.get(value, "an id")
        if isinstance(value, list):
            return [word(each) for each in value]
        if isinstance(value, str):
            for known, name in names.items():
                value = value.replace(str(known), name)
            return value
        if isinstance(value, datetime):
            return str(value)
        return value if not isinstance(value, bytes) else "a hash"

    return [word(value) for value in row]


async def test_a_group_leaves_the_same_behind_as_the_same_requests_one_by_one(
    stage: Stage, storage: Storage, other_app_id: UUID
) -> None:
    other = replace(stage, app_id=other_app_id, services=replace(stage.services, groups=Groups()))
    found: list[tuple[list[str], dict[str, list[Any]]]] = []
    for each, at_once in ((stage, False), (other, True)):
        here = await add_calendar(storage, each.app_id)
        remote = await connect(storage, each.app_id)
        calls = [create(each, *wanted.pop("news"), **wanted) for wanted in requests(each, here, remote)]
        with transactions(each) as sizes:
            answers = await together(*calls) if at_once else [(await together(call))[0] for call in calls]
        assert sizes == ([len(calls)] if at_once else [1] * len(calls))
        names = {each.app_id: "app", here.id: "here", remote.id: "remote"}
        found.append((outcomes(answers), await written(storage.database, each.app_id, names)))
    assert found[1] == found[0]
    assert found[0][0].count("done") == 7


# What it costs


async def test_a_group_costs_as_many_statements_as_one_request(stage: Stage, database: Database) -> None:
    async def costs(count: int, start: int, **options: Any) -> int:
        drafts = [
            stage.draft(f"Nr {number}", start=NOW + number * HOUR, end=NOW + (number + 1) * HOUR, on_conflict=REJECT)
            for number in range(start, start + count)
        ]
        with recorded(database) as statements:
            found = await together(
                *(create(stage, each, idempotency_key=f"k{each.draft.start}", **options) for each in drafts)
            )
        assert outcomes(found) == ["done"] * count
        return len(statements)

    await costs(1, 0)
    assert await costs(50, 1) == await costs(1, 100)


async def test_a_single_write_takes_no_statement_too_many(stage: Stage, database: Database) -> None:
    local = await add_calendar(stage.storage, stage.app_id)
    with recorded(database) as statements:
        await create(stage, stage.draft(calendar=local))
    known = [statement.split("(")[0].split(" FROM")[0][:40] for statement, _ in statements]
    expected = ["BEGIN IMMEDIATE", "SELECT calendar", "INSERT INTO event ", "INSERT INTO change "]
    if not database.is_sqlite:
        expected = ["SELECT calendar", "WITH w0 AS "]
    assert [found[: len(wanted)] for found, wanted in zip(known, expected, strict=True)] == expected


async def test_a_commit_that_fails_is_told_from_a_statement_that_does(storage: Storage, app_id: UUID) -> None:
    def away(*_connection: object) -> None:
        raise OSError("the line is dead")

    engine = storage.database.writer.sync_engine
    for moment, expected in (("commit", Unacknowledged), ("before_cursor_execute", Unavailable)):
        listen.listen(engine, moment, away)
        with pytest.raises(Unavailable) as caught:
            await add_calendar(storage, app_id)
        listen.remove(engine, moment, away)
        assert type(caught.value) is expected
    await add_calendar(storage, app_id)
    assert (await count_rows(storage.database))["calendar"] == 1


async def test_a_caller_who_leaves_during_the_write_holds_no_lane(stage: Stage) -> None:
    over = asyncio.Event()
    stage.services = replace(stage.services, wake_worker=over.set)
    caller = asyncio.create_task(create(stage, stage.draft(), sync_now=True))
    for _ in range(3):
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await over.wait()  # the write comes to its end without its caller
    await stage.turn()
    assert (await count_rows(stage.storage.database))["outbox"] == 0
