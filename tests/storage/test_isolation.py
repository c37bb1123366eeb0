"""Two apps in one database: whatever one does, with whatever ids, it neither sees nor touches what is the other's."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, exc, select, text

from kalends.domain.access import ApiKey, Scope, secret_hash
from kalends.domain.calendars import SANDBOX, Account, AccountState, Calendar, Resource
from kalends.domain.errors import Refused
from kalends.domain.events import Event, EventPage
from kalends.domain.ids import uuid7
from kalends.domain.profiles import Profile
from kalends.domain.recurrence import Recurrence
from kalends.domain.sync import Conflict, Lane, SandboxCopy
from storage.accounts import Consent
from storage.changes import Operation
from storage.columns import Table
from storage.engine import Database
from storage.events import Taking
from storage.idempotency import Claim
from storage.links import Counterpart
from storage.models import TENANT_TABLES
from storage.outbox import Waking
from storage.repository import Repository
from storage.sources import OpenChannel
from storage.unit_of_work import SYSTEM_ROLE, TENANT_ROLE, Storage, UnitOfWork
from tests.helpers import (
    DAY,
    HOUR,
    NOW,
    abandoned,
    make_account,
    make_calendar,
    make_channel,
    make_consent,
    make_counterpart,
    make_event,
    make_profile,
    make_resource,
    make_span,
)

pytestmark = pytest.mark.anyio

on_postgresql = pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
TABLES = sorted(Table.metadata.tables)
OF_THE_SYSTEM = {
    "app": {"SELECT", "INSERT"},
    "api_key": {"SELECT"},
    "account": {"SELECT"},
    "link": {"SELECT"},
    "outbox": {"SELECT", "INSERT"},
    "lane": {"SELECT", "UPDATE"},
    "idempotency": {"SELECT", "DELETE"},
    "series": {"SELECT"},
    "source": {"SELECT"},
    "consent": {"SELECT", "DELETE"},
}
"""What may be done outside every app."""

CLAIM = Claim("key:1", "k-1", "createEvent", b"\x00" * 32)


@dataclass(frozen=True)
class Belongings:
    """One row of everything, all of one app."""

    app_id: UUID
    resource: Resource
    account: Account
    profile: Profile
    calendar: Calendar
    event: Event
    key: ApiKey
    lane: Lane
    copy: SandboxCopy
    channel: OpenChannel
    consent: Consent

    @property
    def counterpart(self) -> Counterpart:
        """A copy at a provider that is not the one that the link knows."""
        return make_counterpart(self.event, "r-9")


async def furnish(storage: Storage, app_id: UUID) -> Belongings:
    """Store a row of every kind."""
    resource = make_resource()
    profile = make_profile(resource.id)
    account = make_account(resource.id)
    calendar = make_calendar(resource_id=resource.id, provider=SANDBOX, account_id=account.id)
    event = make_event(calendar.id, recurrence=Recurrence("FREQ=WEEKLY;COUNT=1"))
    channel, consent = make_channel(calendar.id), make_consent(resource.id)
    key = ApiKey(uuid7(), app_id, "ci", secret_hash("s"), frozenset(Scope), NOW)
    copy = SandboxCopy(account.id, "primary", "r-1", 1, False, {})
    async with storage.writing(app_id) as work:
        await work.keys.add(key)
        await work.resources.add(resource)
        await work.profiles.add(profile)
        await work.accounts.add(account, NOW)
        await work.accounts.give(account.id, {"token": "t"}, NOW, subject="ada", address="ada@example.org")
        await work.consents.add(consent)
        await work.calendars.add(calendar)
        await work.feeds.open(calendar.id, secret_hash("s"), NOW)
        await work.sources.open(calendar.id)
        await work.sources.has_read(calendar.id, NOW, token="t", again_in=-HOUR, whole=True, broken=[])
        await work.channels.add(channel)
        await work.events.add([event])
        await work.links.track([event])
        await work.links.meet(event.id, 1, make_counterpart(event, "r-1"), NOW, behind=True)
        await work.intents.put([event])
        await work.changes.note_events([event], Operation.CREATED, "key:1")
        await work.idempotency.claim(CLAIM, [event.id], NOW)
        await work.sandbox.set_faults(account.id, {"latency": 1})
        await work.sandbox.put(copy)
        await work.lanes.wake(calendar.id, account.id)
        lane = await work.lanes.take(calendar.id, HOUR)
        assert lane is not None
    return Belongings(app_id, resource, account, profile, calendar, event, key, lane, copy, channel, consent)


@pytest.fixture
async def ours(storage: Storage, app_id: UUID) -> Belongings:
    return await furnish(storage, app_id)


@pytest.fixture
async def theirs(storage: Storage, other_app_id: UUID) -> Belongings:
    return await furnish(storage, other_app_id)


async def everything_of(database: Database, app_id: UUID) -> dict[str, list[str]]:
    """Return all rows of an app, read around every guard."""
    async with database.writer.connect() as connection:
        return {
            table.name: sorted(
                str(tuple(row))
                for row in await connection.execute(
                    select(table).where((table.c.app_id if "app_id" in table.c else table.c.id) == app_id)
                )
            )
            for table in Table.metadata.sorted_tables
        }


# With the ids of another app

Call = Callable[[UnitOfWork, Belongings], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "accounts.add": lambda work, b: work.accounts.add(make_account(b.resource.id), NOW),
    "accounts.all_ids": lambda work, _: work.accounts.all_ids(),
    "accounts.begin_renewal": lambda work, b: work.accounts.begin_renewal(b.account.id, HOUR),
    "accounts.block": lambda work, b: work.accounts.block(b.account.id, HOUR),
    "accounts.end_renewal": lambda work, b: work.accounts.end_renewal(b.account.id, {"token": "mine"}),
    "accounts.find": lambda work, b: work.accounts.find(resource_id=b.resource.id, provider=SANDBOX),
    "accounts.get": lambda work, b: work.accounts.get(b.account.id),
    "accounts.give": lambda work, b: work.accounts.give(b.account.id, {}, NOW, subject="mine", address=None),
    "accounts.grant": lambda work, b: work.accounts.grant(b.account.id),
    "accounts.many": lambda work, b: work.accounts.many([b.account.id]),
    "accounts.page": lambda work, _: work.accounts.page(limit=9, after=None, resource_id=None),
    "accounts.remove_of": lambda work, b: work.accounts.remove_of(b.resource.id),
    "accounts.reseal": lambda work, b: work.accounts.reseal(b.account.id),
    "accounts.set_state": lambda work, b: work.accounts.set_state(b.account.id, AccountState.REVOKED, NOW),
    "accounts.take": lambda work, b: work.accounts.take(b.account.id),
    "busy.of": lambda work, b: work.busy.of([b.calendar.id], make_span(NOW, DAY)),
    "busy.within": lambda work, b: work.busy.within([(b.calendar.id, make_span(NOW, DAY))]),
    "calendars.add": lambda work, b: work.calendars.add(make_calendar(resource_id=b.resource.id)),
    "calendars.book": lambda work, b: work.calendars.book([b.calendar.id], alone=True),
    "calendars.count_of": lambda work, b: work.calendars.count_of(b.resource.id),
    "calendars.freshness": lambda work, b: work.calendars.freshness(
        calendar_ids=[b.calendar.id], resource_ids=[b.resource.id]
    ),
    "calendars.get": lambda work, b: work.calendars.get(b.calendar.id),
    "calendars.many": lambda work, b: work.calendars.many([b.calendar.id]),
    "calendars.of_accounts": lambda work, b: work.calendars.of_accounts([b.account.id]),
    "calendars.of_resources": lambda work, b: work.calendars.of_resources([b.resource.id]),
    "calendars.page": lambda work, _: work.calendars.page(limit=9, after=None, resource_id=None, archived=True),
    "calendars.remove": lambda work, b: work.calendars.remove(b.calendar.id),
    "calendars.save": lambda work, b: work.calendars.save(replace(b.calendar, name="Mine")),
    "changes.note": lambda work, b: work.changes.note("event", b.event.id, Operation.DELETED, origin="x", at=NOW),
    "changes.note_events": lambda work, b: work.changes.note_events([b.event], Operation.DELETED, "x"),
    "changes.position": lambda work, b: work.changes.position(b.calendar.id),
    "channels.add": lambda work, b: work.channels.add(replace(b.channel, id=uuid7())),
    "channels.forget_calendar": lambda work, b: work.channels.forget_calendar(b.calendar.id),
    "channels.get": lambda work, b: work.channels.get(b.channel.id),
    "channels.of": lambda work, b: work.channels.of([b.calendar.id]),
    "channels.prolong": lambda work, b: work.channels.prolong(b.channel.id, expires_at=NOW + DAY, renew_at=NOW),
    "channels.remove": lambda work, b: work.channels.remove(b.channel.id),
    "consents.add": lambda work, b: work.consents.add(make_consent(b.resource.id)),
    "consents.take": lambda work, b: work.consents.take(b.consent.id, NOW),
    "events.add": lambda work, b: work.events.add([make_event(b.calendar.id)]),
    "events.by_uids": lambda work, b: work.events.by_uids(b.calendar.id, [b.event.uid]),
    "events.collisions": lambda work, b: work.events.collisions([Taking(b.calendar.id, [make_span(NOW, DAY)])]),
    "events.conflicts_of": lambda work, b: work.events.conflicts_of([b.event]),
    "events.count_in": lambda work, b: work.events.count_in(b.calendar.id),
    "events.days_of": lambda work, b: work.events.days_of(b.calendar.id),
    "events.earliest": lambda work, b: work.events.earliest(b.calendar.id),
    "events.expand": lambda work, b: work.events.expand(b.event),
    "events.forget": lambda work, b: work.events.forget(b.event.id),
    "events.forget_tombstones": lambda work, b: work.events.forget_tombstones(b.calendar.id),
    "events.get": lambda work, b: work.events.get(b.event.id, lock=True),
    "events.in_the_way": lambda work, b: work.events.in_the_way(b.calendar.id, make_span(NOW, DAY)),
    "events.moved": lambda work, b: work.events.moved(b.event, seen_from=NOW),
    "events.to_come": lambda work, _: work.events.to_come(NOW, after=None, limit=9),
    "events.listed": lambda work, b: work.events.listed(b.calendar.id, limit=9),
    "events.page": lambda work, _: work.events.page(EventPage(make_span(NOW, DAY), None, 9)),
    "events.remove": lambda work, b: work.events.remove([b.event.id]),
    "events.save": lambda work, b: work.events.save(b.event.deleted(NOW)),
    "events.some_of": lambda work, b: work.events.some_of(b.calendar.id, 9),
    "events.with_tombstones": lambda work, b: work.events.with_tombstones([b.event.id], lock=True),
    "feeds.close": lambda work, b: work.feeds.close(b.calendar.id),
    "feeds.many": lambda work, b: work.feeds.many([b.calendar.id]),
    "feeds.open": lambda work, b: work.feeds.open(b.calendar.id, b"mine", NOW),
    "feeds.secret_hash": lambda work, b: work.feeds.secret_hash(b.calendar.id),
    "idempotency.claim": lambda work, _: work.idempotency.claim(CLAIM, [uuid7()], NOW),
    "idempotency.uses": lambda work, _: work.idempotency.uses([CLAIM]),
    "intents.failed": lambda work, b: work.intents.failed(b.event.id, "x", again_in=None),
    "intents.forget_calendar": lambda work, b: work.intents.forget_calendar(b.calendar.id),
    "intents.hold": lambda work, b: work.intents.hold(b.event.id),
    "intents.many": lambda work, b: work.intents.many([b.event.id]),
    "intents.next_due": lambda work, b: work.intents.next_due(b.calendar.id),
    "intents.put": lambda work, b: work.intents.put([b.event]),
    "intents.put_calendar": lambda work, b: work.intents.put_calendar(b.calendar.id),
    "intents.settle": lambda work, b: work.intents.settle(b.event.id),
    "keys.add": lambda work, b: work.keys.add(replace(b.key, id=uuid7())),
    "keys.all": lambda work, _: work.keys.all(),
    "keys.app": lambda work, _: _nothing_but_ours(work),
    "keys.compute_by": lambda work, _: work.keys.compute_by("2000a"),
    "keys.get": lambda work, b: work.keys.get(b.key.id),
    "keys.revoke": lambda work, b: work.keys.revoke(b.key.id, NOW),
    "keys.touch": lambda work, b: work.keys.touch(b.key.id, NOW),
    "lanes.forget": lambda work, b: work.lanes.forget(b.calendar.id),
    "lanes.holds": lambda work, b: work.lanes.holds(b.lane),
    "lanes.keep": lambda work, b: work.lanes.keep(b.lane, DAY),
    "lanes.release": lambda work, b: work.lanes.release(b.lane),
    "lanes.take": lambda work, b: work.lanes.take(b.calendar.id, DAY),
    "lanes.take_all": lambda work, b: work.lanes.take_all([b.calendar.id], DAY),
    "lanes.wake_all": lambda work, b: work.lanes.wake_all([Waking(b.calendar.id, b.account.id, False)], at_once=True),
    "lanes.wake": lambda work, b: work.lanes.wake(b.calendar.id, b.account.id, at_once=True),
    "links.attempt": lambda work, b: work.links.attempt(b.event.id, 9, b.event.state),
    "links.begin_anew": lambda work, b: work.links.begin_anew(b.event.id, 9),
    "links.by_remote_ids": lambda work, b: work.links.by_remote_ids(b.calendar.id, ["r-1"]),
    "links.count_standing": lambda work, b: work.links.count_standing(b.calendar.id),
    "links.dispute": lambda work, b: work.links.dispute(b.event.id, Conflict(b.event.state, "9", ())),
    "links.etags": lambda work, b: work.links.etags(b.calendar.id, ["r-1"]),
    "links.forget_calendar": lambda work, b: work.links.forget_calendar(b.calendar.id),
    "links.learn": lambda work, b: work.links.learn(b.event.id, 9, NOW, b.counterpart),
    "links.many": lambda work, b: work.links.many([b.event.id]),
    "links.meet": lambda work, b: work.links.meet(b.event.id, 9, b.counterpart, NOW, behind=False),
    "links.not_sent": lambda work, b: work.links.not_sent(b.event.id),
    "links.pushed": lambda work, b: work.links.pushed(b.event.id, 9),
    "links.standing": lambda work, b: _all(work.links.standing(b.calendar.id)),
    "links.take_in": lambda work, b: work.links.take_in([(b.event, b.counterpart)], NOW),
    "links.track": lambda work, b: work.links.track([b.event]),
    "links.track_calendar": lambda work, b: work.links.track_calendar(b.calendar.id),
    "links.unlinked": lambda work, b: work.links.unlinked(b.calendar.id),
    "links.written_since": lambda work, b: work.links.written_since(b.calendar.id, NOW - DAY),
    "profiles.add": lambda work, b: work.profiles.add(make_profile(b.resource.id)),
    "profiles.get": lambda work, b: work.profiles.get(b.profile.id),
    "profiles.of": lambda work, b: work.profiles.of([b.resource.id]),
    "profiles.remove": lambda work, b: work.profiles.remove(b.profile.id),
    "profiles.save": lambda work, b: work.profiles.save(replace(b.profile, name="Mine")),
    "resources.add": lambda work, _: work.resources.add(make_resource()),
    "resources.get": lambda work, b: work.resources.get(b.resource.id),
    "resources.many": lambda work, b: work.resources.many([b.resource.id]),
    "resources.page": lambda work, _: work.resources.page(limit=9, after=None),
    "resources.remove": lambda work, b: work.resources.remove(b.resource.id),
    "resources.save": lambda work, b: work.resources.save(replace(b.resource, name="Mine")),
    "sandbox.faults": lambda work, b: work.sandbox.faults(b.account.id),
    "sandbox.find": lambda work, b: work.sandbox.find(b.account.id, "r-1", lock=True),
    "sandbox.put": lambda work, b: work.sandbox.put(replace(b.copy, body={"summary": "Mine"})),
    "sandbox.set_faults": lambda work, b: work.sandbox.set_faults(b.account.id, {}),
    "sandbox.since": lambda work, b: work.sandbox.since(b.account.id, "primary", 0, 9),
    "sources.all_ids": lambda work, _: work.sources.all_ids(),
    "sources.allow": lambda work, b: work.sources.allow(b.calendar.id, 9),
    "sources.close": lambda work, b: work.sources.close(b.calendar.id),
    "sources.due": lambda work, b: work.sources.due(b.calendar.id),
    "sources.has_failed": lambda work, b: work.sources.has_failed(b.calendar.id, "x", again_in=DAY),
    "sources.has_held": lambda work, b: work.sources.has_held(b.calendar.id, 9, again_in=DAY),
    "sources.has_read": lambda work, b: work.sources.has_read(
        b.calendar.id, NOW, token="mine", again_in=DAY, whole=True, broken=[("x", "y")]
    ),
    "sources.hasten": lambda work, b: work.sources.hasten(b.calendar.id),
    "sources.is_gone": lambda work, b: work.sources.is_gone(b.calendar.id, "x", NOW, again_in=DAY),
    "sources.many": lambda work, b: work.sources.many([b.calendar.id]),
    "sources.open": lambda work, b: work.sources.open(b.calendar.id),
    "sources.reseal": lambda work, b: work.sources.reseal(b.calendar.id),
}
"""Every method of every repository, called with what belongs to another app."""


async def _all(pieces: AsyncIterator[Sequence[Any]]) -> list[Any]:
    return [each async for piece in pieces for each in piece]


def _is_nothing(found: Any) -> bool:
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found]
    return not any(parts)


async def _nothing_but_ours(work: UnitOfWork) -> None:
    assert (await work.keys.app()).id == work.keys.app_id


def _asks_the_database(method: object) -> bool:
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def test_every_method_of_every_repository_is_called() -> None:
    generic = {name for name, _ in inspect.getmembers(Repository, inspect.isfunction)}
    parts = {
        name: inspect.signature(part.func).return_annotation
        for name, part in vars(UnitOfWork).items()
        if isinstance(part, cached_property)
    }
    assert set(CALLS) == {
        f"{name}.{method}"
        for name, kind in parts.items()
        for method, _ in inspect.getmembers(vars(inspect.getmodule(UnitOfWork))[kind], _asks_the_database)
        if not method.startswith("_") and method not in generic
    }


@pytest.mark.parametrize("name", CALLS)
async def test_the_ids_of_another_app_find_and_change_nothing(
    database: Database, storage: Storage, app_id: UUID, theirs: Belongings, name: str
) -> None:
    before = await everything_of(database, theirs.app_id)
    found: Any = None
    try:
        async with storage.writing(app_id) as work:
            found = await CALLS[name](work, theirs)
    except (Refused, exc.IntegrityError):
        pass
    assert _is_nothing(found)
    assert await everything_of(database, theirs.app_id) == before


# Without a WHERE


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
async def test_a_forgotten_where_shows_an_apps_own_rows_only(
    storage: Storage, ours: Belongings, theirs: Belongings, table: str
) -> None:
    column = "id" if table == "app" else "app_id"
    for belongings in (ours, theirs):
        async with storage.reading(belongings.app_id) as work:
            rows = await work.events.rows(text(f"SELECT {column} FROM {table}"))
        assert [row[0] for row in rows] == [belongings.app_id]


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
async def test_a_row_cannot_be_given_to_another_app(
    storage: Storage, ours: Belongings, theirs: Belongings, table: str
) -> None:
    column = "id" if table == "app" else "app_id"
    with pytest.raises(exc.ProgrammingError, match="row-level security"):
        async with storage.writing(ours.app_id) as work:
            await work.events.run(text(f"UPDATE {table} SET {column} = '{theirs.app_id}'"))


@on_postgresql
async def test_a_row_cannot_be_written_for_another_app(storage: Storage, app_id: UUID, other_app_id: UUID) -> None:
    async with abandoned(storage, app_id) as work:
        work.resources.app_id = other_app_id
        with pytest.raises(exc.ProgrammingError, match="row-level security"):
            await work.resources.add(make_resource())


@on_postgresql
async def test_a_forgotten_where_changes_an_apps_own_rows_only(
    database: Database, storage: Storage, ours: Belongings, theirs: Belongings
) -> None:
    before = await everything_of(database, theirs.app_id)
    async with storage.writing(ours.app_id) as work:
        assert await work.events.run(text("UPDATE event SET summary = 'Mine'")) == 1
        assert await work.events.run(text("DELETE FROM event")) == 1
    assert await everything_of(database, theirs.app_id) == before


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
async def test_without_an_app_there_are_no_rows(database: Database, ours: Belongings, table: str) -> None:
    async with database.writer.connect() as connection:
        await connection.execute(text(f"SET LOCAL ROLE {TENANT_ROLE}"))
        assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
async def test_the_system_sees_what_it_hands_out_and_no_calendar(
    storage: Storage, ours: Belongings, theirs: Belongings, table: str
) -> None:
    query = text(f"SELECT count(*) FROM {table}")
    if table in OF_THE_SYSTEM:
        async with storage.system() as system:
            assert (await system._rows(query))[0][0] == 2
    else:
        with pytest.raises(exc.ProgrammingError, match="permission denied"):
            async with storage.system() as system:
                await system._rows(query)


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
async def test_the_system_may_do_no_more_than_it_has_to(database: Database, table: str) -> None:
    query = text("SELECT has_table_privilege(:role, :table, :privilege)")
    async with database.writer.connect() as connection:
        may = {
            privilege
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            if await connection.scalar(query, {"role": SYSTEM_ROLE, "table": table, "privilege": privilege})
        }
    assert may == OF_THE_SYSTEM.get(table, set())


@on_postgresql
async def test_a_transactions_app_does_not_outlive_it(storage: Storage, database: Database, ours: Belongings) -> None:
    async with storage.reading(ours.app_id) as work:
        pid = (await work.events.rows(text("SELECT pg_backend_pid()")))[0][0]
    async with database.writer.connect() as connection:
        row = (
            await connection.execute(text("SELECT pg_backend_pid(), current_user, current_setting('app.tenant')"))
        ).one()
    assert tuple(row) == (pid, database.url.username, "")


@on_postgresql
async def test_every_table_has_row_level_security_that_holds_for_its_owner_too(database: Database) -> None:
    def secured(connection: Connection) -> dict[str, bool]:
        rows = connection.execute(
            text(
                "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class "
                "WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            )
        )
        return {name: forced for name, forced in rows if name != "alembic_version"}

    async with database.writer.connect() as connection:
        assert await connection.run_sync(secured) == dict.fromkeys(TABLES, True)
    assert set(TENANT_TABLES) == {*TABLES} - {"app"}
