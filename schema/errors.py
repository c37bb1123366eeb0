"""Refusals as data, and the few errors that are not."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry

from kalends.domain import errors as problems
from schema.enums import ErrorCode
from schema.scalars import DateTime, moment

if TYPE_CHECKING:
    from schema.events import Event
    from schema.reasons import RefusedSlot

LazyEvent = Annotated["Event", strawberry.lazy("schema.events")]
LazyRefusedSlot = Annotated["RefusedSlot", strawberry.lazy("schema.reasons")]

# The domain's words on the left, the API's on the right; what is not here differs only in its spelling.
WORDS = {
    "summary": "what",
    "location": "where",
    "attendees": "participants",
    "partstat": "myRsvp",
    "send_invitations": "invite",
    "tzid": "timeZone",
    "notice": "minimumNotice",
}


@strawberry.interface(description="Something that is wrong with a request. Nothing was written.")
class UserError:
    """What every refusal tells."""

    message: str = strawberry.field(description="What is wrong, for people; it may change.")
    code: ErrorCode = strawberry.field(description="What is wrong, for programs; it does not change.")
    path: list[str] = strawberry.field(
        description="Where it is wrong: the way through the mutation's arguments, list positions from 0."
    )


@strawberry.type(description="A value that cannot be read, or breaks a rule.")
class InvalidInputError(UserError):
    """See the description."""

    expected: str = strawberry.field(description="What would have been accepted.")


@strawberry.type(description="There is no such thing in this app.")
class NotFoundError(UserError):
    """See the description."""


@strawberry.type(description="A time of an event that is taken already.")
class Collision:
    """See the description."""

    start: DateTime = strawberry.field(description="When the time starts, in UTC.")
    end: DateTime = strawberry.field(description="When it ends, in UTC.")
    count: int = strawberry.field(description="How many events are in the way.")
    events: list[LazyEvent] = strawberry.field(
        description="Those of them that are among the 50 that are named; none for a key without the scope READ."
    )


@strawberry.type(description="The calendar's time is taken, and the policy is REJECT.")
class TimeConflictError(UserError):
    """See the description."""

    conflicts: list[LazyEvent] = strawberry.field(
        description="The events in the way, earliest first, at most 50; empty for a key without the scope READ."
    )
    collisions: list[Collision] = strawberry.field(
        description="The times that are taken already, earliest first, with the events in the way of each."
    )
    exdates: list[DateTime] = strawberry.field(
        description="Of a series the times without which it would fit: its `exdates` can take them as they are."
    )


@strawberry.type(
    description="The availability profile does not let it be booked at that time, or at some of its times."
)
class NotAvailableError(UserError):
    """See the description."""

    refused: list[LazyRefusedSlot] = strawberry.field(
        description="The times that cannot be booked, earliest first, at most 50, each with the reasons for which "
        "`availability` does not offer it."
    )
    count: int = strawberry.field(description="How many of its times cannot be booked.")


@strawberry.type(description="`expectedVersion` is not the stored version: somebody else changed it first.")
class StaleVersionError(UserError):
    """See the description."""

    current_version: int = strawberry.field(description="The stored version.")


@strawberry.type(description="The calendar takes no changes to its events.")
class CalendarNotWritableError(UserError):
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="The calendar.")


@strawberry.type(description="The idempotency key was used before, for another request.")
class IdempotencyKeyReusedError(UserError):
    """See the description."""


@strawberry.type(description="It cannot be done while it holds, or is held by, other things.")
class InUseError(UserError):
    """See the description."""

    count: int = strawberry.field(description="How many things.")


@strawberry.type(description="A provider did not do it, and may do it later: the same request may succeed then.")
class ProviderUnavailableError(UserError):
    """See the description."""

    retry_after: float | None = strawberry.field(description="In how many seconds, where the provider has said so.")


@strawberry.type(description="A provider will not do it until a person acts; `code` says who and what.")
class ProviderRefusedError(UserError):
    """See the description."""


class BadArgument(Exception):
    """A query's argument that cannot be used: a top-level error, because a query has no payload to put it in."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"{name}: expected {expected}.")
        self.name = name
        self.expected = expected


class BadInput(Exception):
    """A query's arguments that cannot be used, and all that is wrong with them: a top-level error too."""

    def __init__(self, refused: problems.Refused, *, under: tuple[str, ...] = ()) -> None:
        self.problems = [
            {"message": each.message, "code": each.code, "path": _path(each.path, under, (), single=False)}
            for each in refused.problems
        ]
        first = self.problems[0]
        super().__init__(f"{'.'.join(first['path'])}: {first['message']}")


class NotAnswered(Exception):
    """A query that a provider would have to answer, and does not: a top-level error, like `BadArgument`."""

    def __init__(self, problem: problems.Problem) -> None:
        super().__init__(problem.message)
        self.code = problem.code
        self.retry_after = problem.retry_after if isinstance(problem, problems.ProviderUnavailable) else None


def refuse_nulls(given: object, *, nullable: Container[str] = ()) -> None:
    """Raise `Refused` with each field of an update that is null and may not be; an absent one is None here."""
    expected = "a value; a field that is absent stays as it is"
    nulls = [
        problems.InvalidInput(path=(field.name,), message=f"Expected {expected}.", expected=expected)
        for field in fields(cast("Any", given))
        if field.name not in nullable
        and isinstance(value := getattr(given, field.name), strawberry.Some)
        and value.value is None
    ]
    if nulls:
        raise problems.Refused(*nulls)


def user_errors(
    refused: problems.Refused,
    *,
    under: tuple[str, ...] = ("input",),
    arguments: tuple[str, ...] = (),
    single: bool = False,
) -> list[Any]:
    """Return a refusal in the API's types and words.

    Paths go under the mutation's `input`, but for those that begin with one of its own `arguments`. Where the use case
    numbers its items and the mutation has a `single` one, the number goes.
    """
    return [_user_error(problem, _path(problem.path, under, arguments, single)) for problem in refused.problems]


def _path(path: problems.Path, under: tuple[str, ...], arguments: tuple[str, ...], single: bool) -> list[str]:
    words = [WORDS.get(part) or _camel(part) for part in path]
    if words and words[0] in arguments:
        return words
    if words and words[0].isdigit():  # one of several events
        return [*under, *words[1:]] if single else [*under, "events", *words]
    return [*under, *words]


def in_api_words(place: str) -> str:
    """Return the name of a thing that can change, in the API's words; what follows a dot is an entry, and stays."""
    name, dot, entry = place.partition(".")
    return {"when": "start"}.get(name, WORDS.get(name) or _camel(name)) + dot + entry


def _camel(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _user_error(problem: problems.Problem, path: list[str]) -> UserError:
    told: dict[str, Any] = {"message": problem.message, "code": ErrorCode(problem.code), "path": path}
    match problem:
        case problems.InvalidInput():
            return InvalidInputError(**told, expected=problem.expected)
        case problems.NotFound():
            return NotFoundError(**told)
        case problems.TimeConflict() | problems.NotAvailable():
            return _not_free(problem, told)
        case problems.StaleVersion():
            return StaleVersionError(**told, current_version=problem.current_version)
        case problems.NotWritable():
            return CalendarNotWritableError(**told, calendar_id=strawberry.ID(str(problem.calendar_id)))
        case problems.KeyReused():
            return IdempotencyKeyReusedError(**told)
        case problems.InUse():
            return InUseError(**told, count=problem.count)
        case problems.ProviderUnavailable():
            return ProviderUnavailableError(**told, retry_after=problem.retry_after)
        case problems.ProviderRefused():
            return ProviderRefusedError(**told)
    raise TypeError(f"no place in the schema for {type(problem).__name__}")


def _not_free(problem: problems.TimeConflict | problems.NotAvailable, told: dict[str, Any]) -> UserError:
    from schema.events import Event
    from schema.reasons import RefusedSlot

    if isinstance(problem, problems.NotAvailable):
        refused = RefusedSlot.all_of(problem.refused, told=problem.told)
        return NotAvailableError(**told, refused=refused, count=problem.count)
    collisions = [
        Collision(
            start=moment(each.span.start),
            end=moment(each.span.end),
            count=each.count,
            events=[Event.of(event) for event in each.events],
        )
        for each in problem.collisions
    ]
    return TimeConflictError(
        **told,
        conflicts=[event for each in collisions for event in each.events],
        collisions=collisions,
        exdates=[moment(each) for each in problem.exdates],
    )
