"""The ways on which providers call us, and what follows from a call: never more than that somebody looks."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from kalends.domain.access import secret_hash
from kalends.domain.calendars import Calendar
from kalends.domain.ids import uuid7
from kalends.domain.sync import Lane
from providers.errors import OutcomeUnknown, ProviderError
from providers.interface import Channel, HintKind, Hints, HookCall, RemoteCalendar
from resolvers.holding import LaneLost, as_holder, place_of, wake
from resolvers.services import Services
from storage.sources import OpenChannel
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

HOOKS = "/hooks"
AGAIN = timedelta(hours=1)  # until the next try to open or renew a channel
GOOD_UNTIL = timedelta(minutes=5)  # a channel so near to its end is as good as gone


def address_of(services: Services, provider: str, name: str) -> str:
    """Return where a provider calls us on a channel."""
    return f"{services.public_url}{HOOKS}/{provider}/{name}"


def name_of(app_id: UUID, channel_id: UUID) -> str:
    """Return a channel's name, 64 characters; the app is in it, so that its row can be found under the app's rights."""
    return app_id.hex + channel_id.hex


def read_name(name: str) -> tuple[UUID, UUID] | None:
    """Take a channel's name apart."""
    try:
        return (UUID(hex=name[:32]), UUID(hex=name[32:])) if len(name) == 64 and name.isalnum() else None
    except ValueError:
        return None


async def tend(services: Services, lane: Lane) -> bool:
    """Open a calendar's channel, or renew it at half its life. That it fails is no harm: we look anyway.

    Returns False where somebody else has the lane.
    """
    try:
        await _tend(services, lane)
    except LaneLost:
        log.info("sync.lane_lost", calendar=str(lane.calendar_id))
        return False
    return True


async def _tend(services: Services, lane: Lane) -> None:
    async with services.storage.reading(lane.app_id) as work:
        found = await work.calendars.many([lane.calendar_id])
        if not found:
            raise LaneLost
        calendar, provider = found[0], services.providers[found[0].provider]
        if not isinstance(provider, Hints) or not (services.public_url or "").startswith("https://"):
            return
        channels = await work.channels.of([calendar.id])
        place = await place_of(work, calendar)
    now = services.clock()
    newest = channels[-1] if channels else None
    if newest is not None and now < newest.renew_at:
        return
    try:
        async with asyncio.timeout(services.patience.call):
            prolonged = None
            if newest is not None and now < newest.expires_at - GOOD_UNTIL:
                prolonged = await provider.renew(place, Channel(newest.remote_id, newest.expires_at))
            if prolonged is not None and newest is not None:
                await _prolong(services, lane, newest.id, prolonged)
                return
            await _open(services, lane, provider, calendar, place)
            for old in channels:
                await provider.unwatch(place, Channel(old.remote_id, old.expires_at))
    except (ProviderError, TimeoutError) as error:
        known = error if isinstance(error, ProviderError) else OutcomeUnknown("The provider did not answer in time.")
        log.info("sync.no_channel", calendar=str(calendar.id), provider=provider.name, error=str(known))
        await _try_later(services, lane, newest)
        return
    async with as_holder(services, lane) as work:
        for old in channels:
            await work.channels.remove(old.id)


async def _open(services: Services, lane: Lane, provider: Hints, calendar: Calendar, place: RemoteCalendar) -> None:
    channel_id, secret = uuid7(), secrets.token_urlsafe(32)
    name = name_of(lane.app_id, channel_id)
    address = address_of(services, calendar.provider, name)
    opened = await provider.watch(place, channel_id=name, secret=secret, address=address)
    channel = OpenChannel(
        channel_id,
        calendar.id,
        opened.remote_id,
        secret_hash(secret),
        opened.expires_at,
        _half(services.clock(), opened.expires_at),
    )
    try:
        async with as_holder(services, lane) as work:
            await work.channels.add(channel)
    except LaneLost:
        with suppress(ProviderError):
            await provider.unwatch(place, opened)  # nobody else knows of it
        raise


async def _prolong(services: Services, lane: Lane, channel_id: UUID, channel: Channel) -> None:
    renew_at = _half(services.clock(), channel.expires_at)
    async with as_holder(services, lane) as work:
        await work.channels.prolong(channel_id, expires_at=channel.expires_at, renew_at=renew_at)


async def _try_later(services: Services, lane: Lane, channel: OpenChannel | None) -> None:
    if channel is not None:
        renew_at = services.clock() + AGAIN
        async with as_holder(services, lane) as work:
            await work.channels.prolong(channel.id, expires_at=channel.expires_at, renew_at=renew_at)


def _half(now: datetime, end: datetime) -> datetime:
    return now + (end - now) / 2


async def receive(services: Services, provider_name: str, name: str, call: HookCall) -> str | None:
    """Take a call on a channel; return what must be answered to one that only tries the address.

    The answer tells nobody whether the channel exists, or whether the secret was right.
    """
    provider: object = services.providers.get(provider_name)
    if not isinstance(provider, Hints):
        return None
    if (answer := provider.handshake(call)) is not None:
        return answer
    hints, ids = provider.hints(call), read_name(name)
    if ids is None or not hints:
        return None
    app_id, channel_id = ids
    async with services.storage.reading(app_id) as work:
        channel = await work.channels.get(channel_id)
    if channel is None:
        return None
    proven = [hint.kind for hint in hints if hmac.compare_digest(secret_hash(hint.secret), channel.secret_hash)]
    if proven:
        async with services.storage.writing(app_id) as work:
            await _believe(services, work, channel, proven)
        services.wake_worker()
    return None


async def _believe(services: Services, work: UnitOfWork, channel: OpenChannel, kinds: Sequence[HintKind]) -> None:
    """Have somebody look at the calendar; many calls before that are one look."""
    if HintKind.LOST in kinds:
        await work.channels.remove(channel.id)
    elif HintKind.RENEW in kinds:
        await work.channels.prolong(channel.id, expires_at=channel.expires_at, renew_at=services.clock())
    if await work.sources.hasten(channel.calendar_id):
        calendar = (await work.calendars.many([channel.calendar_id]))[0]
        await wake(services, work, calendar)


@dataclass(frozen=True, slots=True)
class Closing:
    """A channel that is to be closed at its provider, whatever becomes of its calendar here."""

    provider: Hints
    place: RemoteCalendar
    channel: Channel


async def channels_of(services: Services, work: UnitOfWork, calendars: Sequence[Calendar]) -> Sequence[Closing]:
    """Return the channels of calendars, to be closed after the transaction that forgets them."""
    found = []
    by_id = {calendar.id: calendar for calendar in calendars}
    for channel in await work.channels.of(list(by_id)):
        calendar = by_id[channel.calendar_id]
        provider = services.providers[calendar.provider]
        if isinstance(provider, Hints):
            place = await place_of(work, calendar)
            found.append(Closing(provider, place, Channel(channel.remote_id, channel.expires_at)))
    return found


async def close_channels(services: Services, channels: Sequence[Closing]) -> None:
    """Close channels, as far as their providers let us; what is left open ends by itself, and nobody listens to it."""
    for each in channels:
        try:
            async with asyncio.timeout(services.patience.call):
                await each.provider.unwatch(each.place, each.channel)
        except (ProviderError, TimeoutError) as error:
            log.info("sync.channel_left_open", channel=each.channel.remote_id, error=type(error).__name__)
