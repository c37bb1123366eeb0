"""The mutations about accounts: opening and closing them, and which remote calendar feeds which of ours."""

from __future__ import annotations

from typing import Annotated

import strawberry

from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from resolvers import accounts, linking
from resolvers.conflicts import allow_deletions, resolve_conflict
from resolvers.linking import Subscription
from schema.accounts import Account, RemoteCalendar
from schema.calendars import ERRORS, Calendar
from schema.context import Info
from schema.dry_runs import DryRun
from schema.enums import Keep
from schema.errors import (
    InUseError,
    InvalidInputError,
    NotFoundError,
    ProviderRefusedError,
    ProviderUnavailableError,
    StaleVersionError,
    user_errors,
)
from schema.event_inputs import DRY_RUN, EXPECTED_VERSION
from schema.events import Event
from schema.scalars import TimeZone, optional_id, zone_name

RESOURCE = "Whoever or whatever the account is for."
KEEP_EVENTS = "Whether the events that came from the provider stay here. The provider keeps its own in any case."


@strawberry.input(description="An account to be opened by its owner, at the provider.")
class ConnectAccountInput:
    """See the description."""

    provider: str = strawberry.field(description="The provider's name, such as `google` or `microsoft`.")
    resource_id: strawberry.ID | None = strawberry.field(default=None, description=RESOURCE)
    return_to: str | None = strawberry.field(
        default=None,
        description="Where to send the owner afterwards, at one of the operator's KALENDS_RETURN_ORIGINS: with "
        "`account`, its id, or `error` added to the address. Without it they see a page that says how it went.",
    )


@strawberry.input(description="An account to be opened with a password, at a CalDAV server.")
class ConnectCaldavInput:
    """See the description."""

    url: str = strawberry.field(
        description="The server's address, such as https://caldav.fastmail.com: the calendars are found from there "
        "(RFC 6764, RFC 4791). It must be public, but for those in the operator's KALENDS_PRIVATE_SERVERS."
    )
    username: str = strawberry.field(description="The user's name there.")
    password: str = strawberry.field(description="The password; with most services one made for this app only.")
    resource_id: strawberry.ID | None = strawberry.field(default=None, description=RESOURCE)


@strawberry.input(description="A calendar on the web whose events are to block time here.")
class SubscribeCalendarInput:
    """See the description."""

    url: str = strawberry.field(description="Its address (.ics), https or webcal; kept like a password.")
    name: str | None = strawberry.field(default=None, description="What to call it; its own name by default.")
    time_zone: TimeZone | None = strawberry.field(
        default=None, description="The zone of its days; its own by default, then its resource's."
    )
    resource_id: strawberry.ID | None = strawberry.field(default=None, description="Whose time it blocks.")


@strawberry.input(description="A calendar, and the remote one that it is to be kept in step with.")
class LinkCalendarInput:
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="A local calendar.")
    account_id: strawberry.ID = strawberry.field(description="The account at the provider.")
    remote_calendar_id: str = strawberry.field(description="One of the account's `remoteCalendars`.")


@strawberry.input(description="A conflict, and whose change counts.")
class ResolveSyncConflictInput:
    """See the description."""

    event_id: strawberry.ID = strawberry.field(description="The event.")
    keep: Keep = strawberry.field(description="Whose change counts.")
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED_VERSION)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


ConnectAccountError = Annotated[
    InvalidInputError | NotFoundError | ProviderUnavailableError | ProviderRefusedError,
    strawberry.union("ConnectAccountError", description="Why an account could not be opened."),
]
SubscribeCalendarError = Annotated[
    InvalidInputError | NotFoundError | InUseError | ProviderUnavailableError | ProviderRefusedError,
    strawberry.union("SubscribeCalendarError", description="Why a calendar could not be subscribed to."),
]
LinkCalendarError = Annotated[
    NotFoundError | InUseError | ProviderUnavailableError | ProviderRefusedError,
    strawberry.union("LinkCalendarError", description="Why a calendar could not be linked."),
]
UnlinkCalendarError = Annotated[
    NotFoundError, strawberry.union("UnlinkCalendarError", description="Why a calendar could not be unlinked.")
]
DisconnectAccountError = Annotated[
    NotFoundError, strawberry.union("DisconnectAccountError", description="Why an account could not be closed.")
]
ResolveSyncConflictError = Annotated[
    NotFoundError | StaleVersionError,
    strawberry.union("ResolveSyncConflictError", description="Why a conflict could not be decided."),
]
AllowDeletionsError = Annotated[
    NotFoundError, strawberry.union("AllowDeletionsError", description="Why deletions could not be allowed.")
]


@strawberry.type(description="What became of `connectAccount`.")
class ConnectAccountPayload:
    """See the description."""

    authorization_url: str | None = strawberry.field(
        default=None, description="Where to send the owner, in a browser. Good once, for a quarter of an hour."
    )
    errors: list[ConnectAccountError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `connectCaldav`.")
class ConnectCaldavPayload:
    """See the description."""

    account: Account | None = strawberry.field(default=None, description="The account, open.")
    remote_calendars: list[RemoteCalendar] = strawberry.field(
        default_factory=list, description="The calendars that it has: `linkCalendar` keeps them in step."
    )
    errors: list[ConnectAccountError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `subscribeCalendar`.")
class SubscribeCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(
        default=None, description="The calendar: read-only, filled in a moment."
    )
    errors: list[SubscribeCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `linkCalendar`.")
class LinkCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar as it is stored now.")
    errors: list[LinkCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `unlinkCalendar`.")
class UnlinkCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar as it is stored now: local.")
    errors: list[UnlinkCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `disconnectAccount`.")
class DisconnectAccountPayload:
    """See the description."""

    account: Account | None = strawberry.field(
        default=None, description="The account, closed; its calendars are local."
    )
    errors: list[DisconnectAccountError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `resolveSyncConflict`.")
class ResolveSyncConflictPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description="The event as it is stored now.")
    copy: Event | None = strawberry.field(
        default=None, description="What it said here, in an event of its own: where both were kept."
    )
    dry_runs: list[DryRun] = strawberry.field(
        default_factory=list, description="What the provider would get, for each event that would change; in a dry run."
    )
    errors: list[ResolveSyncConflictError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `allowDeletions`.")
class AllowDeletionsPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar.")
    errors: list[AllowDeletionsError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class AccountMutation:
    """The mutations."""

    @strawberry.mutation(
        description="Begin to open an account by OAuth: send its owner to the address, they come back to this server."
    )
    async def connect_account(
        self, info: Info, input: Annotated[ConnectAccountInput, strawberry.argument(description="The account.")]
    ) -> ConnectAccountPayload:
        """Return where to send the owner."""
        try:
            url = await accounts.connect_account(
                info.context.services,
                info.context.actor,
                input.provider,
                optional_id(input.resource_id),
                return_to=input.return_to,
            )
        except Refused as refused:
            return ConnectAccountPayload(errors=user_errors(refused))
        return ConnectAccountPayload(authorization_url=url)

    @strawberry.mutation(description="Open an account at a CalDAV server, and list its calendars.")
    async def connect_caldav(
        self, info: Info, input: Annotated[ConnectCaldavInput, strawberry.argument(description="The account.")]
    ) -> ConnectCaldavPayload:
        """Open an account."""
        try:
            account, listed = await accounts.connect_by_password(
                info.context.services,
                info.context.actor,
                "caldav",
                optional_id(input.resource_id),
                url=input.url,
                username=input.username,
                password=input.password,
            )
        except Refused as refused:
            return ConnectCaldavPayload(errors=user_errors(refused))
        remote = [RemoteCalendar.of(each, account.id) for each in listed]
        return ConnectCaldavPayload(account=Account.of(account), remote_calendars=remote)

    @strawberry.mutation(description="Make a read-only calendar of one on the web, and keep it up to date.")
    async def subscribe_calendar(
        self, info: Info, input: Annotated[SubscribeCalendarInput, strawberry.argument(description="The calendar.")]
    ) -> SubscribeCalendarPayload:
        """Subscribe to a calendar."""
        subscription = Subscription(
            input.url,
            input.name,
            None if input.time_zone is None else zone_name(input.time_zone),
            optional_id(input.resource_id),
        )
        try:
            calendar = await linking.subscribe(info.context.services, info.context.actor, subscription)
        except Refused as refused:
            return SubscribeCalendarPayload(errors=user_errors(refused))
        return SubscribeCalendarPayload(calendar=Calendar.of(calendar))

    @strawberry.mutation(
        description="Keep a local calendar and a remote one in step, both ways: what is in either goes to the other."
    )
    async def link_calendar(
        self, info: Info, input: Annotated[LinkCalendarInput, strawberry.argument(description="Which with which.")]
    ) -> LinkCalendarPayload:
        """Link a calendar."""
        try:
            calendar = await linking.link_calendar(
                info.context.services,
                info.context.actor,
                parse_id(input.calendar_id),
                parse_id(input.account_id),
                input.remote_calendar_id,
            )
        except Refused as refused:
            return LinkCalendarPayload(errors=user_errors(refused))
        return LinkCalendarPayload(calendar=Calendar.of(calendar))

    @strawberry.mutation(
        description="Keep a calendar in step no more: it becomes local, and takes changes again where it did before."
    )
    async def unlink_calendar(
        self,
        info: Info,
        calendar_id: Annotated[strawberry.ID, strawberry.argument(description="The calendar.")],
        keep_events: Annotated[bool, strawberry.argument(description=KEEP_EVENTS)] = True,
    ) -> UnlinkCalendarPayload:
        """Unlink a calendar."""
        try:
            calendar = await linking.unlink_calendar(
                info.context.services, info.context.actor, parse_id(calendar_id), keep_events=keep_events
            )
        except Refused as refused:
            return UnlinkCalendarPayload(errors=user_errors(refused, under=()))
        return UnlinkCalendarPayload(calendar=Calendar.of(calendar))

    @strawberry.mutation(
        description="Close an account: nothing calls us any more, the grant is given back, what opened it is forgotten."
    )
    async def disconnect_account(
        self,
        info: Info,
        account_id: Annotated[strawberry.ID, strawberry.argument(description="The account.")],
        keep_events: Annotated[bool, strawberry.argument(description=KEEP_EVENTS)] = True,
    ) -> DisconnectAccountPayload:
        """Close an account."""
        try:
            account = await linking.disconnect_account(
                info.context.services, info.context.actor, parse_id(account_id), keep_events=keep_events
            )
        except Refused as refused:
            return DisconnectAccountPayload(errors=user_errors(refused, under=()))
        return DisconnectAccountPayload(account=Account.of(account))

    @strawberry.mutation(
        description="Decide a conflict; what only one side changed is kept. Where there is none, nothing happens."
    )
    async def resolve_sync_conflict(
        self,
        info: Info,
        input: Annotated[ResolveSyncConflictInput, strawberry.argument(description="The decision.")],
    ) -> ResolveSyncConflictPayload:
        """Decide a conflict."""
        try:
            settled = await resolve_conflict(
                info.context.services,
                info.context.actor,
                parse_id(input.event_id),
                input.keep,
                expected_version=input.expected_version,
                dry_run=input.dry_run,
            )
        except Refused as refused:
            return ResolveSyncConflictPayload(errors=user_errors(refused))
        return ResolveSyncConflictPayload(
            event=Event.of(settled.event),
            copy=None if settled.second is None else Event.of(settled.second),
            dry_runs=[DryRun.of(each) for each in settled.previews],
        )

    @strawberry.mutation(
        description="Let deletions through that a provider has made and that were so many that they wait for a person: "
        "see `Calendar.source { heldDeletions }`. Should they be more by then, they wait again."
    )
    async def allow_deletions(
        self,
        info: Info,
        calendar_id: Annotated[strawberry.ID, strawberry.argument(description="The calendar.")],
        count: Annotated[int, strawberry.argument(description="How many, as `heldDeletions` has said.")],
    ) -> AllowDeletionsPayload:
        """Let deletions through."""
        try:
            calendar = await allow_deletions(
                info.context.services, info.context.actor, parse_id(calendar_id), max(0, count)
            )
        except Refused as refused:
            return AllowDeletionsPayload(errors=user_errors(refused, under=()))
        return AllowDeletionsPayload(calendar=Calendar.of(calendar))
