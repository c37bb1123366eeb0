"""Two tenants: no argument, no input field and no answer shows one to the other. The calls are made from the schema."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from kalends.domain.ids import uuid7
from storage.engine import Database
from tests.api import SCHEMA, SLOT, House, Tenant, at, build_house, document, dump, key_with, selection
from tests.helpers import DAY, HOUR, Clock
from tests.providers.oauth_double import DOUBLES, PASSWORD
from tests.schema.remote import PUBLIC, connected

pytestmark = pytest.mark.anyio

HERE, ANOTHER = "<the id>", "<an id of a calendar of the caller's>"
SAMPLES = {
    "start": at(SLOT),
    "end": at(SLOT + HOUR),
    "from": at(SLOT - DAY),
    "to": at(SLOT + DAY),
    "length": "PT1H",
    "rsvp": "DECLINED",
    "provider": "oauth",
    "url": "https://calendars.example/",
    "username": "somebody",
    "password": PASSWORD,
    "remoteCalendarId": "primary",
}
TAKING_AWAY = ("unlinkCalendar", "disconnectAccount")
"""What leaves nothing for others to find."""

BY_TYPE = {"String": "Sample", "Boolean": False, "Int": 1, "Float": 0.0}


class Place(NamedTuple):
    """Where the schema takes an id: a root field, and the arguments of a call that is good but for that id."""

    kind: str
    field: str
    path: str
    arguments: dict[str, Any]

    def call(self, value: str, another: str) -> dict[str, Any]:
        """Return the arguments with an id in its place, and another one where a second is needed."""
        return dict(_filled(self.arguments, {HERE: value, ANOTHER: another}))


def _filled(template: Any, ids: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {name: _filled(item, ids) for name, item in template.items()}
    if isinstance(template, list):
        return [_filled(item, ids) for item in template]
    return ids.get(template, template) if isinstance(template, str) else template


def _sample(name: str, type_: GraphQLInputType) -> Any:
    """Return some good value; raises `KeyError` for a type that this test must first be taught."""
    if isinstance(type_, GraphQLNonNull):
        return _sample(name, type_.of_type)
    if isinstance(type_, GraphQLList):
        return [_sample(name, type_.of_type)]
    if isinstance(type_, GraphQLInputObjectType):
        return {
            each: _sample(each, field.type) for each, field in type_.fields.items() if is_required_input_field(field)
        }
    if name in SAMPLES:
        return SAMPLES[name]
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    if str(type_) == "ID":
        return ANOTHER
    return BY_TYPE[str(type_)]


def _templates(name: str, type_: GraphQLInputType, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the path of every id in a value of this type, with a value that is good but for it."""
    if isinstance(type_, GraphQLNonNull):
        yield from _templates(name, type_.of_type, above)
    elif isinstance(type_, GraphQLList):
        for path, template in _templates(name, type_.of_type, above):
            yield path, [template]
    elif isinstance(type_, GraphQLInputObjectType) and type_.name not in above:  # rules hold rules
        for each, field in type_.fields.items():
            for path, template in _templates(each, field.type, (*above, type_.name)):
                yield f"{name}.{path}", _sample(name, type_) | {each: template}
    elif str(type_) == "ID":
        yield name, HERE


def _places() -> Iterator[Place]:
    for kind, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type)):
        assert root is not None
        for field, definition in root.fields.items():
            if field.startswith("_"):
                continue
            required = {
                name: _sample(name, argument.type)
                for name, argument in definition.args.items()
                if is_required_argument(argument)
            }
            for name, argument in definition.args.items():
                for path, template in _templates(name, argument.type):
                    yield Place(kind, field, f"{field}.{path}", required | {name: template})


PLACES = {place.path: place for place in _places()}


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a running server with two tenants, and providers whose accounts people open."""
    return await build_house(database, clock, providers=DOUBLES, public_url=PUBLIC)


async def furnish(house: House) -> dict[str, str]:
    """Give our tenant one of everything that has an id, and return the ids."""
    ours = house.ours
    event = await ours.create(participants=["ada@aurora.example"])
    pushed = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    key = await ours.api.done("createApiKey", input={"name": "Aurora's spare", "scopes": ["READ"]})
    resource = await ours.api.done("createResource", input={"name": "Aurora's room", "kind": "ROOM"})
    empty = await ours.api.done("createCalendar", input={"name": "Aurora's empty", "resourceId": str(ours.resource.id)})
    account = await connected(house, ours, "aurora")
    linked = await ours.api.done("createCalendar", input={"name": "Aurora's linked"})
    hours = {"resourceId": str(ours.resource.id), "name": "Aurora's hours"}
    profile = (await ours.api.done("saveAvailabilityProfile", input=hours))["profile"]
    await ours.api.done(
        "linkCalendar",
        input={
            "calendarId": linked["calendar"]["id"],
            "accountId": account["id"],
            "remoteCalendarId": "team",
        },
    )
    await house.worker.drain()
    return {name: str(value) for name, value in ours.ids.items() if name != "key"} | {
        "event": event["id"],
        "pushed": pushed["id"],
        "spare key": key["apiKey"]["id"],
        "room": resource["resource"]["id"],
        "empty": empty["calendar"]["id"],
        "opened account": account["id"],
        "linked": linked["calendar"]["id"],
        "profile": profile["id"],
    }


async def answer(tenant: Tenant, place: Place, value: str) -> tuple[int, Any]:
    """Return the answer to a call with this id."""
    arguments = place.call(value, str(tenant.calendar.id))
    response = await tenant.api.post(document(place.kind, place.field, tuple(arguments), 2), **arguments)
    return response.status_code, response.json()


def test_the_schema_takes_ids_in_as_many_places_as_this_test_has_seen() -> None:
    assert len(PLACES) >= 31
    assert {"event.id", "events.calendarIds", "createEvents.input.events.calendarId"} <= set(PLACES)
    assert {"account.id", "linkCalendar.input.accountId", "resolveSyncConflict.input.eventId"} <= set(PLACES)


async def test_a_foreign_id_is_an_unknown_one_wherever_the_schema_takes_an_id(house: House) -> None:
    ids = await furnish(house)
    before = await dump(house.database, house.ours.app_id)
    unknown = str(uuid7())
    told = []
    for path, place in PLACES.items():
        nothing = await answer(house.theirs, place, unknown)
        for name, foreign in ids.items():
            found = await answer(house.theirs, place, foreign)
            if found != nothing or foreign in str(found):
                told.append(f"{path} tells about our {name}")
        if await dump(house.database, house.ours.app_id) != before:
            told.append(f"{path} changes what is ours")
            before = await dump(house.database, house.ours.app_id)
    assert told == []


async def test_an_id_of_ones_own_does_something_wherever_the_schema_takes_an_id(house: House) -> None:
    """Without this, the test above would also pass where every call fails for some other reason."""
    ids = await furnish(house)
    unknown = str(uuid7())
    for path, place in sorted(PLACES.items(), key=lambda each: each[1].field in TAKING_AWAY):
        nothing = await answer(house.ours, place, unknown)
        for own in ids.values():
            if await answer(house.ours, place, own) != nothing:
                break
        else:
            pytest.fail(f"{path} does nothing with any id of its caller's")


async def test_a_foreign_entity_is_an_unknown_one(house: House) -> None:
    ids = await furnish(house)
    union = SCHEMA.type_map["_Entity"]
    assert isinstance(union, GraphQLUnionType)
    representations = [{"__typename": kind.name, "id": value} for kind in union.types for value in ids.values()]
    query = f"query ($them: [_Any!]!) {{ _entities(representations: $them) {selection(union, 1)} }}"
    found = (await house.theirs.api.run(query, them=representations))["_entities"]
    assert found == [None] * len(representations)
    own = (await house.ours.api.run(query, them=representations))["_entities"]
    assert {each["__typename"] for each in own if each} == {kind.name for kind in union.types}


async def test_nothing_of_another_tenant_is_in_any_answer(house: House, ours: Tenant, theirs: Tenant) -> None:
    secrets = {*(await furnish(house)).values(), *map(str, ours.ids.values()), "Aurora", "aurora"}
    await theirs.create(calendarId=str(theirs.sandbox.id), syncProvider=True)
    account = await connected(house, theirs, "borealis")
    root = SCHEMA.query_type
    assert root is not None
    shown = []
    window = {"from": at(SLOT), "to": at(SLOT + DAY)}
    whose = {"resourceIds": [str(theirs.resource.id)]}
    asked: dict[str, dict[str, Any]] = {
        "freeBusy": whose,
        "availability": {"input": {"roles": [whose], "length": "PT1H", "explain": True, **window}},
    }
    for field, definition in root.fields.items():
        if field.startswith("_"):
            continue
        arguments = {
            name: _sample(name, argument.type)
            for name, argument in definition.args.items()
            if is_required_argument(argument)
        }
        own = {
            "event": "",
            "calendar": str(theirs.calendar.id),
            "resource": str(theirs.resource.id),
            "account": account["id"],
        }
        if "id" in arguments:
            arguments["id"] = own[field] or (await theirs.create())["id"]
        if "accountId" in arguments:
            arguments["accountId"] = account["id"]
        arguments |= asked.get(field, {})
        if "includeArchived" in definition.args:
            arguments["includeArchived"] = True
        response = await theirs.api.post(document("query", field, tuple(arguments), 5), **arguments)
        assert "errors" not in response.json()
        if field == "providers":  # they are everybody's
            assert not [secret for secret in secrets if secret in response.text]
            continue
        shown.append(response.text)
    for policy in ("WARN", "REJECT"):
        await theirs.create(SLOT + 10 * DAY)
        wanted = theirs.event(SLOT + 10 * DAY, onConflict=policy, participants=["guest@example.org"])
        shown.append((await theirs.api.post(document("mutation", "createEvent", ("input",), 4), input=wanted)).text)
    for text in shown:
        assert "Borealis" in text or "borealis" in text or "guest@example.org" in text
        assert not [secret for secret in secrets if secret in text]


def test_every_object_of_the_schema_can_be_reached_by_the_queries_above() -> None:
    reached: set[str] = set()
    waiting: list[GraphQLObjectType | GraphQLUnionType | None] = [SCHEMA.query_type, SCHEMA.mutation_type]
    while waiting:
        type_ = waiting.pop()
        if type_ is None or type_.name in reached:
            continue
        reached.add(type_.name)
        members = type_.types if isinstance(type_, GraphQLUnionType) else ()
        fields = type_.fields.values() if isinstance(type_, GraphQLObjectType) else ()
        below = [*members, *(get_named_type(field.type) for field in fields)]
        waiting += [each for each in below if isinstance(each, GraphQLObjectType | GraphQLUnionType)]
    ours = {name for name, type_ in SCHEMA.type_map.items() if isinstance(type_, GraphQLObjectType)}
    assert {name for name in ours if not name.startswith("__")} <= reached


async def test_a_cursor_of_another_tenant_leads_to_ones_own_things(house: House, ours: Tenant, theirs: Tenant) -> None:
    await furnish(house)
    await theirs.create(SLOT + HOUR)
    window: dict[str, Any] = {"from": at(SLOT - DAY), "to": at(SLOT + DAY)}
    for field, arguments in (("events", window), ("calendars", {}), ("resources", {}), ("accounts", {})):
        foreign = (await ours.api.ask(field, **arguments))["pageInfo"]["startCursor"]
        page = await theirs.api.ask(field, after=foreign, **arguments)
        assert page["edges"]
        assert "Aurora" not in str(page)


async def test_one_idempotency_key_in_two_tenants_is_two_keys(house: House, ours: Tenant, theirs: Tenant) -> None:
    mine = await ours.create(idempotencyKey="the same")
    other = await theirs.create(what="Theirs", idempotencyKey="the same")
    assert (mine["what"], other["what"]) == ("Planning", "Theirs")


async def test_a_key_of_one_tenant_cannot_be_seen_by_another(house: House, ours: Tenant, theirs: Tenant) -> None:
    await key_with(house)
    assert {UUID(each["id"]) for each in await theirs.api.ask("apiKeys")} == {theirs.key_id}
