"""Accounts and providers on the surface of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from kalends.domain import calendars as domain
from kalends.domain.errors import NotFound, Refused
from kalends.domain.ids import parse_id
from providers.interface import ListedCalendar
from resolvers import accounts as use_cases
from resolvers.directory import Described, describe_providers
from schema.context import Info
from schema.enums import AccountState, ConnectBy
from schema.errors import BadArgument, NotAnswered
from schema.pages import AFTER, DEFAULT_PAGE, FIRST, PageInfo, cut, id_cursor, limit, read_id_cursor
from schema.scalars import DateTime, EmailAddress, TimeZone, optional_moment

if TYPE_CHECKING:
    from schema.calendars import Calendar
    from schema.resources import Resource

LazyCalendar = Annotated["Calendar", strawberry.lazy("schema.calendars")]
LazyResource = Annotated["Resource", strawberry.lazy("schema.resources")]


@strawberry.type(description="A calendar service, and what it can do. What it cannot is told in `sync { warnings }`.")
class Provider:
    """See the description."""

    name: str = strawberry.field(description="Its name, as `Calendar.provider` has it.")
    connect_by: ConnectBy = strawberry.field(description="How an account is opened there.")
    reads: bool = strawberry.field(description="Whether its events come to us.")
    writes: bool = strawberry.field(description="Whether our events go there.")
    suppress_invites: bool = strawberry.field(
        description="Whether participants can be kept there without being mailed."
    )
    set_own_rsvp: bool = strawberry.field(description="Whether the owner's answer can be given from here.")
    keeps_cancelled: bool = strawberry.field(description="Whether cancelled events stay visible there.")
    keeps_tentative: bool = strawberry.field(description="Whether it knows tentative events.")
    keeps_metadata: bool = strawberry.field(description="Whether it keeps `metadata`.")
    keeps_visibility: bool = strawberry.field(description="Whether it knows every visibility.")
    max_reminders: int = strawberry.field(description="How many reminders an event can have there.")
    recurrence: bool = strawberry.field(description="Whether it keeps series as series.")
    rdates: bool = strawberry.field(description="Whether a series can have dates beside its rule there.")

    @classmethod
    def of(cls, provider: Described) -> Self:
        """Return a provider in the API's words."""
        can = provider.capabilities
        return cls(
            name=provider.name,
            connect_by=provider.connect_by,
            reads=provider.reads,
            writes=can.remote and can.writes,
            suppress_invites=can.suppress_invites,
            set_own_rsvp=can.set_own_rsvp,
            keeps_cancelled=can.keeps_cancelled,
            keeps_tentative=can.keeps_tentative,
            keeps_metadata=can.keeps_metadata,
            keeps_visibility=can.keeps_visibility,
            max_reminders=can.max_reminders,
            recurrence=can.recurrence,
            rdates=can.rdates,
        )


@strawberry.type(description="A grant at a provider: by it, calendars are kept in step.")
class Account:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The account's own id; opaque.")
    provider: str = strawberry.field(description="The provider's name.")
    state: AccountState = strawberry.field(description="Whether the provider still lets us in.")
    address: EmailAddress | None = strawberry.field(description="Its owner's e-mail address there, where it is known.")
    last_error: str | None = strawberry.field(description="Why the provider does not let us in.")
    blocked_until: DateTime | None = strawberry.field(
        description="Until when nothing is asked of it, because it said that it is busy; null where it is not."
    )

    _id: strawberry.Private[UUID]
    _resource_id: strawberry.Private[UUID | None]

    @strawberry.field(description="Whoever or whatever it was opened for.")
    async def resource(self, info: Info) -> LazyResource | None:
        """Load the resource."""
        from schema.resources import Resource

        found = await info.context.loaders.resources.load(self._resource_id) if self._resource_id else None
        return Resource.of(found) if found else None

    @strawberry.field(description="The calendars that it keeps in step, in order of creation.")
    async def calendars(self, info: Info) -> list[LazyCalendar]:
        """Load the calendars."""
        from schema.calendars import Calendar

        return [Calendar.of(each) for each in await info.context.loaders.calendars_of_accounts.load(self._id)]

    @classmethod
    def of(cls, account: domain.Account) -> Self:
        """Return an account in the API's words."""
        return cls(
            id=strawberry.ID(str(account.id)),
            provider=account.provider,
            state=account.state,
            address=None if account.address is None else EmailAddress(account.address),
            last_error=account.last_error,
            blocked_until=optional_moment(account.blocked_until),
            _id=account.id,
            _resource_id=account.resource_id,
        )


@strawberry.type(description="An account in a page.")
class AccountEdge:
    """See the description."""

    cursor: str = strawberry.field(description="Its place in the list: a page can begin after it.")
    node: Account = strawberry.field(description="The account.")


@strawberry.type(description="A page of accounts, oldest first.")
class AccountConnection:
    """See the description."""

    edges: list[AccountEdge] = strawberry.field(description="The accounts of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


@strawberry.type(description="A calendar that an account has at its provider.")
class RemoteCalendar:
    """See the description."""

    remote_id: str = strawberry.field(description="The provider's name of it: what `linkCalendar` takes.")
    name: str = strawberry.field(description="What people call it there.")
    time_zone: TimeZone | None = strawberry.field(description="Its zone, where it has one that is known.")
    read_only: bool = strawberry.field(description="Whether we may only read it.")
    primary: bool = strawberry.field(description="Whether it is the account's main calendar.")

    _account_id: strawberry.Private[UUID]

    @strawberry.field(description="The calendar here that it feeds.")
    async def calendar(self, info: Info) -> LazyCalendar | None:
        """Find the calendar among the account's."""
        from schema.calendars import Calendar

        linked = await info.context.loaders.calendars_of_accounts.load(self._account_id)
        return next((Calendar.of(each) for each in linked if each.remote_id == self.remote_id), None)

    @classmethod
    def of(cls, listed: ListedCalendar, account_id: UUID) -> Self:
        """Return a remote calendar in the API's words."""
        return cls(
            remote_id=listed.remote_id,
            name=listed.name,
            time_zone=None if listed.tzid is None else TimeZone(listed.tzid),
            read_only=listed.read_only,
            primary=listed.primary,
            _account_id=account_id,
        )


Id = Annotated[strawberry.ID, strawberry.argument(description="The account.")]


@strawberry.type
class AccountQuery:
    """The queries."""

    @strawberry.field(description="The calendar services that this server knows, by name.")
    async def providers(self, info: Info) -> list[Provider]:
        """List the providers."""
        info.context.caller  # noqa: B018  for whoever has a key
        return [Provider.of(each) for each in describe_providers(info.context.services)]

    @strawberry.field(description="One account; null for an unknown one.")
    async def account(self, info: Info, id: Id) -> Account | None:
        """Load an account."""
        account_id = parse_id(id)
        found = await info.context.loaders.accounts.load(account_id) if account_id else None
        return Account.of(found) if found else None

    @strawberry.field(description="Accounts, oldest first.")
    async def accounts(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description=FIRST)] = DEFAULT_PAGE,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
        resource_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only those of one resource.")
        ] = None,
    ) -> AccountConnection:
        """List accounts."""
        rows = await use_cases.list_accounts(
            info.context.services,
            info.context.caller,
            limit=limit(first),
            after=read_id_cursor(after),
            resource_id=None if resource_id is None else parse_id(resource_id) or UUID(int=0),
        )
        accounts, page_info = cut(rows, first, after, lambda account: id_cursor(account.id))
        edges = [AccountEdge(cursor=id_cursor(each.id), node=Account.of(each)) for each in accounts]
        return AccountConnection(edges=edges, page_info=page_info)

    @strawberry.field(
        description="The calendars that an account has at its provider, who is asked for them. Needs MANAGE_CALENDARS."
    )
    async def remote_calendars(
        self, info: Info, account_id: Annotated[strawberry.ID, strawberry.argument(description="The account.")]
    ) -> list[RemoteCalendar]:
        """Ask the provider."""
        try:
            account, listed = await use_cases.remote_calendars(
                info.context.services, info.context.caller, parse_id(account_id)
            )
        except Refused as refused:
            problem = refused.problems[0]
            if isinstance(problem, NotFound):
                raise BadArgument("accountId", "the id of an account") from refused
            raise NotAnswered(problem) from refused
        return [RemoteCalendar.of(each, account.id) for each in listed]
