"""Writing down what follows where an event and its copy may both have changed. Push and pull both come through here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from kalends.domain.events import Event, EventState
from kalends.domain.merge import Agreement, in_common
from kalends.domain.reconcile import Decision, Move, decide
from kalends.domain.sync import Conflict, Link
from providers.interface import Identity, Outgoing, Provider, RemoteEvent
from storage.changes import Operation
from storage.links import Counterpart
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an event. `push`: its provider must still hear of it."""

    move: Move
    event: Event | None = None
    push: bool = False


def outgoing(event: Event, link: Link | None, owner: str | None, generation: int | None = None) -> Outgoing:
    """Return what is to be written of an event."""
    if generation is None:
        generation = link.generation if link else 0
    return Outgoing(event, Identity(event.id, event.uid, generation), owner, link.agreed if link else None)


def in_state(event: Event, state: EventState) -> Event:
    """Return an event as it was, or would be, in another state."""
    return replace(event, when=state.when, content=state.content, recurrence=state.recurrence)


def judge(provider: Provider, event: Event, link: Link, theirs: RemoteEvent | None, owner: str | None) -> Decision:
    """Decide about an event and its copy as they are now; a deleted copy is none."""
    state = None if theirs is None or theirs.deleted else theirs.state
    tried = None
    if link.sent is not None:
        tried = Agreement(link.sent, provider.expected(outgoing(in_state(event, link.sent), link, owner)))
    elif link.agreed is None and event.deleted_at is None and state is not None:
        shown = provider.expected(outgoing(event, link, owner))
        tried = Agreement(event.state, None) if shown is None else in_common(event.state, shown, state)
    if event.deleted_at is not None:
        return decide(None, state, link.agreed, tried, deleted=event.state)
    return decide(event.state, state, link.agreed, tried)


async def settle(
    work: UnitOfWork,
    provider: Provider,
    event_id: UUID,
    theirs: RemoteEvent | None,
    *,
    owner: str | None,
    at: datetime,
) -> Settled:
    """Decide, and write what follows for our side, in the caller's transaction.

    The caller holds the calendar. A copy that is not deleted must come with its state.
    """
    found = await work.events.with_tombstones([event_id], lock=True)
    link = (await work.links.many([event_id], lock=True)).get(event_id)
    if not found or link is None:
        return Settled(Move.FORGET)
    event, origin = found[0], f"provider:{provider.name}"
    decision = judge(provider, event, link, theirs, owner)
    match decision.move:
        case Move.CONFLICT if theirs is not None and theirs.state is not None:
            counterpart = _counterpart(link, theirs, decision)
            await work.links.meet(event.id, event.version, counterpart, at, behind=True)
            await work.links.dispute(event.id, Conflict(theirs.state, theirs.etag, decision.clashes))
            await work.intents.hold(event.id)
            return Settled(Move.CONFLICT, event)
        case Move.REMOVE | Move.FORGET:
            if event.deleted_at is None:
                await _remove(work, event, origin, at)
            await work.events.forget(event.id)
            return Settled(decision.move)
        case Move.RESURRECT:
            await work.links.begin_anew(event.id, link.generation + 1)
            return Settled(Move.RESURRECT, event, push=True)
        case Move.PUSH if decision.agreed is None:  # there is no copy, and perhaps its name is taken
            if theirs is not None:
                await work.links.begin_anew(event.id, link.generation + 1)
            return Settled(Move.PUSH, event, push=True)
    after = await _became(work, event, decision, origin, at)
    counterpart = _counterpart(link, theirs, decision)
    await work.links.meet(after.id, after.version, counterpart, at, behind=decision.push)
    if not decision.push:
        await work.intents.settle(after.id)
    return Settled(decision.move, after, decision.push)


async def _became(work: UnitOfWork, event: Event, decision: Decision, origin: str, at: datetime) -> Event:
    """Store what our event becomes, and return it."""
    if decision.ours is None:
        return event
    after = event.became(decision.ours, at=at)
    operation = Operation.UPDATED
    if event.deleted_at is not None:
        after = replace(in_state(event, decision.ours), deleted_at=None, version=event.version + 1, updated_at=at)
        operation = Operation.CREATED
    if after is not event:
        await work.events.save(after, before=event)
        await work.changes.note_events([after], operation, origin)
    return after


async def _remove(work: UnitOfWork, event: Event, origin: str, at: datetime) -> None:
    tombstone = event.deleted(at)
    await work.events.save(tombstone, before=event)
    await work.changes.note_events([tombstone], Operation.DELETED, origin)


def _counterpart(link: Link, theirs: RemoteEvent | None, decision: Decision) -> Counterpart:
    agreed = decision.agreed
    if agreed is None:
        raise ValueError(f"{decision.move} leads to no agreement")
    if theirs is None or theirs.deleted:
        burnt = link.remote_id is not None or theirs is not None
        return Counterpart(None, None, None, None, agreed, link.generation + burnt)
    return Counterpart(theirs.remote_id, theirs.etag, theirs.url, theirs.uid, agreed, link.generation, theirs.warnings)
