from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from kalends.domain.ids import uuid7
from kalends.domain.sync import SandboxCopy
from providers.errors import (
    AlreadyExists,
    Gone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Stale,
    Throttled,
    Unreachable,
)
from providers.interface import Identity, Outgoing, RemoteCalendar, RemoteEvent
from providers.sandbox import Faults, SandboxProvider
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import NOW, make_account, make_event
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio


class Sandbox:
    """An account at the sandbox, whose luck and whose waiting are the test's."""

    def __init__(self, storage: Storage, calendar: RemoteCalendar) -> None:
        self.storage = storage
        self.calendar = calendar
        self.slept: list[float] = []
        self.draws: list[float] = []
        self.provider = self.restarted()

    def restarted(self) -> SandboxProvider:
        return SandboxProvider(
            surroundings(sandbox_memory=memory_in(self.storage)), sleep=self._sleep, chance=self._chance
        )

    async def misbehaves(self, **faults: Any) -> None:
        assert self.calendar.account_id is not None
        async with self.storage.writing(self.calendar.app_id) as work:
            await work.sandbox.set_faults(self.calendar.account_id, asdict(Faults(**faults)))

    async def copy(self, outgoing: Outgoing) -> SandboxCopy | None:
        assert self.calendar.account_id is not None
        async with self.storage.reading(self.calendar.app_id) as work:
            return await work.sandbox.find(self.calendar.account_id, outgoing.identity.key)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _chance(self) -> float:
        return self.draws.pop(0) if self.draws else 0.5


async def open_account(storage: Storage, app_id: UUID) -> RemoteCalendar:
    account = make_account()
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)
    return RemoteCalendar(app_id, account.id, "primary")


@pytest.fixture
async def sandbox(storage: Storage, app_id: UUID) -> Sandbox:
    return Sandbox(storage, await open_account(storage, app_id))


def an_outgoing(**content: Any) -> Outgoing:
    event = make_event(uuid7(), **content)
    return Outgoing(event, Identity(event.id, event.uid, 0), None)


Call = Callable[[Sandbox, Outgoing], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "create": lambda sandbox, outgoing: sandbox.provider.create(sandbox.calendar, outgoing),
    "update": lambda sandbox, outgoing: sandbox.provider.update(
        sandbox.calendar, outgoing, RemoteEvent(outgoing.identity.key, '"1"')
    ),
    "delete": lambda sandbox, outgoing: sandbox.provider.delete(sandbox.calendar, outgoing, None),
    "find": lambda sandbox, outgoing: sandbox.provider.find(sandbox.calendar, outgoing.identity, None),
}

every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


async def test_it_behaves_until_it_is_told_otherwise(sandbox: Sandbox) -> None:
    sandbox.draws = [0.0] * 3  # less than every chance but none
    outgoing = an_outgoing()
    copy = await sandbox.provider.create(sandbox.calendar, outgoing)
    assert copy == await sandbox.provider.find(sandbox.calendar, outgoing.identity, None)
    assert (copy.remote_id, copy.etag) == (outgoing.identity.key, '"1"')
    assert sandbox.slept == []


@every_call
async def test_every_answer_takes_its_time(sandbox: Sandbox, call: Call) -> None:
    outgoing = an_outgoing()
    await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.misbehaves(latency=1.5, throttled=1)
    with pytest.raises(Throttled):
        await call(sandbox, outgoing)
    assert sandbox.slept == [1.5]


@every_call
@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"revoked": True}, ReconnectRequired),
        ({"throttled": 1, "retry_after": 7.5}, Throttled),
        ({"unavailable": 1}, Unreachable),
    ],
)
async def test_a_call_that_is_turned_away_changes_nothing(
    sandbox: Sandbox, call: Call, faults: dict[str, Any], error: type[ProviderError]
) -> None:
    outgoing = an_outgoing()
    await sandbox.provider.create(sandbox.calendar, outgoing)
    before = await sandbox.copy(outgoing)
    await sandbox.misbehaves(**faults)
    with pytest.raises(error) as caught:
        await call(sandbox, outgoing)
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == timedelta(seconds=7.5)
    assert await sandbox.copy(outgoing) == before


@pytest.mark.parametrize("faults", [{"revoked": True}, {"throttled": 1}, {"unavailable": 1}])
async def test_a_create_that_is_turned_away_leaves_the_name_free(sandbox: Sandbox, faults: dict[str, Any]) -> None:
    outgoing = an_outgoing()
    await sandbox.misbehaves(**faults)
    with pytest.raises(ProviderError):
        await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.misbehaves()
    assert (await sandbox.provider.create(sandbox.calendar, outgoing)).etag == '"1"'


async def test_a_create_whose_answer_is_lost_has_happened(sandbox: Sandbox) -> None:
    outgoing = an_outgoing()
    await sandbox.misbehaves(reply_lost=1)
    with pytest.raises(OutcomeUnknown):
        await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.misbehaves()
    with pytest.raises(AlreadyExists):
        await sandbox.provider.create(sandbox.calendar, outgoing)
    found = await sandbox.provider.find(sandbox.calendar, outgoing.identity, None)
    assert found == RemoteEvent(
        outgoing.identity.key,
        '"1"',
        f"kalends-sandbox:///primary/{outgoing.identity.key}",
        state=sandbox.provider.expected(outgoing),
        uid=outgoing.event.uid,
        event_id=outgoing.event.id,
    )


async def test_an_update_whose_answer_is_lost_has_happened_and_has_another_etag(sandbox: Sandbox) -> None:
    outgoing = an_outgoing()
    known = await sandbox.provider.create(sandbox.calendar, outgoing)
    changed = an_outgoing(summary="Changed")
    changed = replace(changed, identity=outgoing.identity)
    await sandbox.misbehaves(reply_lost=1)
    with pytest.raises(OutcomeUnknown):
        await sandbox.provider.update(sandbox.calendar, changed, known)
    await sandbox.misbehaves()
    copy = await sandbox.copy(outgoing)
    assert copy is not None
    assert copy.body["summary"] == "Changed"
    with pytest.raises(Stale):
        await sandbox.provider.update(sandbox.calendar, changed, known)


async def test_a_delete_whose_answer_is_lost_has_happened(sandbox: Sandbox) -> None:
    outgoing = an_outgoing()
    known = await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.misbehaves(reply_lost=1)
    with pytest.raises(OutcomeUnknown):
        await sandbox.provider.delete(sandbox.calendar, outgoing, known)
    await sandbox.misbehaves()
    with pytest.raises(Gone):
        await sandbox.provider.update(sandbox.calendar, outgoing, known)


async def test_an_answer_that_says_no_can_be_lost_too(sandbox: Sandbox) -> None:
    outgoing = an_outgoing()
    await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.misbehaves(reply_lost=1)
    with pytest.raises(OutcomeUnknown):
        await sandbox.provider.create(sandbox.calendar, outgoing)


@pytest.mark.parametrize(
    ("draws", "error"),
    [([0.1], Throttled), ([0.3, 0.1], Unreachable), ([0.3, 0.3, 0.1], OutcomeUnknown), ([0.3, 0.3, 0.3], None)],
)
async def test_each_fault_has_a_chance_of_its_own(
    sandbox: Sandbox, draws: list[float], error: type[ProviderError] | None
) -> None:
    await sandbox.misbehaves(throttled=0.2, unavailable=0.2, reply_lost=0.2)
    sandbox.draws = list(draws)
    outgoing = an_outgoing()
    if error is None:
        await sandbox.provider.create(sandbox.calendar, outgoing)
    else:
        with pytest.raises(error):
            await sandbox.provider.create(sandbox.calendar, outgoing)
    assert sandbox.draws == []


async def test_one_account_misbehaves_and_others_do_not(sandbox: Sandbox, storage: Storage, app_id: UUID) -> None:
    await sandbox.misbehaves(revoked=True)
    await sandbox.provider.create(await open_account(storage, app_id), an_outgoing())
    with pytest.raises(ReconnectRequired):
        await sandbox.provider.create(sandbox.calendar, an_outgoing())


async def test_one_account_does_not_see_the_copies_of_another(
    sandbox: Sandbox, storage: Storage, app_id: UUID, other_app_id: UUID
) -> None:
    outgoing = an_outgoing()
    await sandbox.provider.create(sandbox.calendar, outgoing)
    for other in (await open_account(storage, app_id), await open_account(storage, other_app_id)):
        assert await sandbox.provider.find(other, outgoing.identity, None) is None
        await sandbox.provider.create(other, outgoing)


async def test_what_it_knows_outlives_the_process(database: Database, sandbox: Sandbox) -> None:
    outgoing, deleted = an_outgoing(), an_outgoing()
    known = await sandbox.provider.create(sandbox.calendar, outgoing)
    await sandbox.provider.create(sandbox.calendar, deleted)
    await sandbox.provider.delete(sandbox.calendar, deleted, None)
    await sandbox.misbehaves(latency=2)
    again = Database(database.url.render_as_string(hide_password=False))
    try:
        later = Sandbox(Storage(again), sandbox.calendar)
        assert await later.provider.find(later.calendar, outgoing.identity, None) == known
        gone = await later.provider.find(later.calendar, deleted.identity, None)
        assert gone is not None
        assert gone.deleted
        with pytest.raises(AlreadyExists):
            await later.provider.create(later.calendar, deleted)
        assert later.slept == [2, 2, 2]
    finally:
        await again.close()


async def test_every_write_that_names_a_copy_is_counted(sandbox: Sandbox) -> None:
    outgoing = an_outgoing()
    known = await sandbox.provider.create(sandbox.calendar, outgoing)
    with pytest.raises(AlreadyExists):
        await sandbox.provider.create(sandbox.calendar, outgoing)
    updated = await sandbox.provider.update(sandbox.calendar, outgoing, known)
    with pytest.raises(Stale):
        await sandbox.provider.update(sandbox.calendar, outgoing, known)
    await sandbox.provider.find(sandbox.calendar, outgoing.identity, None)
    await sandbox.provider.delete(sandbox.calendar, outgoing, updated)
    copy = await sandbox.copy(outgoing)
    assert copy is not None
    assert (copy.calls, copy.revision, copy.deleted) == (5, 3, True)


async def test_a_calendar_without_an_account_must_be_connected(sandbox: Sandbox) -> None:
    with pytest.raises(ReconnectRequired):
        await sandbox.provider.create(replace(sandbox.calendar, account_id=None), an_outgoing())
