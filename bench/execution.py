"""`python -m bench.execution`: operations in one process, without HTTP and without a database.

Each operation runs on both ways, graphql-core's executor and the plan compiled from the document; the use cases under
the resolvers are replaced by ones that return what they have at hand. What is left is GraphQL, and the making of the
API's objects. The processor's time is measured, in rounds that take turns; the best round of each counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from kalends.domain.access import Principal, Scope
from kalends.domain.events import Attendee, Event, Partstat
from kalends.domain.ids import uuid7
from kalends.server.app import classify
from kalends.server.execution import Engine, Operation
from kalends.server.limits import Limits
from resolvers.services import Services
from schema.context import Context
from schema.schema import schema
from tests.helpers import make_event

ROUNDS = 7
EVENT = """id calendarId uid version what where description start end startDate endDate allDay timeZone status
  transparent invite participants { email rsvp } myRsvp onConflict metadata createdAt updatedAt"""
CREATE = """mutation Create($input: CreateEventInput!) { createEvent(input: $input) {
  event { id version what where start end status timeZone }
  errors { __typename ... on UserError { message code path } } } }"""
ONE = f"query One($id: ID!) {{ event(id: $id) {{ {EVENT} }} }}"
PAGE = f"""query Page($from: DateTime!, $to: DateTime!, $first: Int) {{
  events(from: $from, to: $to, first: $first) {{
    edges {{ cursor node {{ {EVENT} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""


@dataclass(frozen=True, slots=True)
class Case:
    """An operation and how often it runs in a round."""

    title: str
    query: str
    variables: dict[str, Any]
    times: int


def cases(events: Sequence[Event]) -> list[Case]:
    """Return what is measured."""
    when = {"start": "2026-05-01T09:00:00+02:00", "end": "2026-05-01T10:00:00+02:00"}
    people = ["ada@example.org", "grace@example.org"]
    draft = {"calendarId": str(events[0].calendar_id), "what": "Planning", "where": "Room 2", "participants": people}
    window = {"from": when["start"], "to": "2026-06-01T00:00:00+02:00", "first": len(events)}
    return [
        Case("createEvent", CREATE, {"input": draft | when}, 1_000),
        Case("one event", ONE, {"id": str(events[0].id)}, 1_000),
        Case(f"a page of {len(events)}", PAGE, window, 50),
    ]


async def main() -> None:
    """Measure, and print the ratios."""
    calendar = uuid7()
    guests = tuple(Attendee(f"guest{number}@example.org", Partstat.ACCEPTED) for number in range(3))
    events = [make_event(calendar, attendees=guests) for _ in range(50)]
    written = SimpleNamespace(event=events[0], events=events[:1], conflicts={}, previews={})

    async def create_events(*_: Any, **__: Any) -> Any:
        return written

    async def list_events(*_: Any) -> list[Event]:
        return events

    async def find_events(*_: Any) -> list[Event]:
        return events[:1]

    engine = Engine(schema, limits=Limits(), introspection=False, suggestions=False, classify=classify)
    table = Table("operation", "graphql-core µs", "compiled µs", "ratio", title="Processor time per operation")
    with (
        patch("resolvers.events.create_events", create_events),
        patch("resolvers.events.list_events", list_events),
        patch("resolvers.lookups.events", find_events),
    ):
        for case in cases(events):
            compiled = engine.prepare(case.query)
            ordinary = replace(compiled, plan=None)
            best = {False: float("inf"), True: float("inf")}
            for _ in range(ROUNDS):
                for is_compiled, operation in ((False, ordinary), (True, compiled)):
                    best[is_compiled] = min(best[is_compiled], await _round(engine, operation, case))
            told = [f"{best[is_compiled] * 1e6:,.1f}" for is_compiled in (False, True)]
            table.add_row(case.title, *told, f"{best[False] / best[True]:.2f}")
    Console().print(table)


async def _round(engine: Engine, operation: Operation, case: Case) -> float:
    """Return the seconds of processor time that one operation takes."""
    principal = Principal(uuid7(), uuid7(), frozenset(Scope))
    services = cast("Services", None)  # nobody gets as far as to use them
    began = time.process_time()
    for _ in range(case.times):
        outcome = await engine.run(operation, case.variables, Context(services, principal))
        if outcome.errors:
            raise RuntimeError(outcome.errors)
    return (time.process_time() - began) / case.times


if __name__ == "__main__":
    asyncio.run(main())
