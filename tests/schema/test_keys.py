"""API keys: made with no more rights than their maker's, shown once, and dead the moment they are revoked."""

import pytest

from kalends.domain.access import Scope
from tests.api import Api, House, Tenant, count_rows, document, dump, key_with, problems
from tests.helpers import DAY, HOUR, MINUTE

pytestmark = pytest.mark.anyio

VIEWER = "{ viewer { app { id name } key { id name scopes expiresAt revokedAt } } }"
CREATE = document("mutation", "createApiKey", ("input",), 1)


async def test_the_viewer_is_whoever_holds_the_key(ours: Tenant, theirs: Tenant) -> None:
    viewer = await ours.api.ask("viewer")
    assert viewer["app"] == {"id": str(ours.app_id), "name": "Aurora", "createdAt": "2026-05-04T07:00:00Z"}
    key = viewer["key"]
    assert (key["id"], key["name"]) == (str(ours.key_id), "Aurora's key")
    assert set(key["scopes"]) == set(Scope)
    assert (await theirs.api.ask("viewer"))["app"]["name"] == "Borealis"


async def test_a_new_key_opens_the_door_and_may_do_what_its_scopes_say(house: House, ours: Tenant) -> None:
    wanted = {"name": "Reader", "scopes": ["READ"]}
    made = await ours.api.done("createApiKey", input=wanted)
    assert made["apiKey"]["scopes"] == ["READ"]
    reader = Api(house.app, made["token"])
    assert (await reader.run(VIEWER))["viewer"]["key"]["id"] == made["apiKey"]["id"]
    error = await reader.fault(document("mutation", "createEvent", ("input",), 1), input=ours.event())
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": "WRITE_EVENTS"}


async def test_a_token_is_shown_once_and_never_again(house: House, ours: Tenant) -> None:
    wanted = {"name": "Once", "scopes": ["READ"], "idempotencyKey": "k"}
    first = await ours.api.done("createApiKey", input=wanted)
    again = await ours.api.done("createApiKey", input=wanted)
    assert (again["apiKey"], again["token"]) == (first["apiKey"], None)
    assert (await count_rows(house.database))["api_key"] == 3  # ours, theirs, the new one
    secret = first["token"].split(".")[1]
    answers = [(await ours.api.post(document("query", field, (), 3))).text for field in ("apiKeys", "viewer")]
    assert not [answer for answer in answers if secret in answer]
    assert secret not in str(await dump(house.database))


@pytest.mark.parametrize("missing", list(Scope))
async def test_no_key_makes_one_with_more_rights_than_its_own(house: House, ours: Tenant, missing: Scope) -> None:
    maker = await key_with(house, *(scope for scope in Scope if scope is not missing))
    before = await dump(house.database)
    error = await maker.fault(CREATE, input={"name": "More", "scopes": [scope.value for scope in Scope]})
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": missing.value}
    assert await dump(house.database) == before


async def test_keys_are_managed_only_with_the_scope_for_it(house: House, ours: Tenant) -> None:
    other = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.MANAGE_CALENDARS)
    before = await dump(house.database)
    for query in (
        "{ apiKeys { id } }",
        'mutation { createApiKey(input: {name: "More", scopes: [READ]}) { token } }',
        f'mutation {{ revokeApiKey(id: "{ours.key_id}") {{ apiKey {{ id }} }} }}',
    ):
        assert (await other.fault(query))["extensions"] == {"code": "FORBIDDEN", "scope": "MANAGE_KEYS"}
    assert await dump(house.database) == before


async def test_a_revoked_key_is_dead_at_once_and_for_good(house: House, ours: Tenant) -> None:
    made = await ours.api.done("createApiKey", input={"name": "Short", "scopes": ["READ", "MANAGE_KEYS"]})
    short = Api(house.app, made["token"])
    assert (await short.run(VIEWER))["viewer"]["key"]["revokedAt"] is None
    revoked = (await ours.api.done("revokeApiKey", id=made["apiKey"]["id"]))["apiKey"]
    assert revoked["revokedAt"] == "2026-05-04T07:00:00Z"
    response = await short.post(VIEWER)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    house.clock.advance(HOUR)
    assert (await ours.api.done("revokeApiKey", id=made["apiKey"]["id"]))["apiKey"] == revoked | {
        "lastUsedAt": "2026-05-04T07:00:00Z"
    }


async def test_a_key_may_revoke_itself(ours: Tenant) -> None:
    assert (await ours.api.done("revokeApiKey", id=str(ours.key_id)))["apiKey"]["id"] == str(ours.key_id)
    assert (await ours.api.post(VIEWER)).status_code == 401


async def test_a_key_expires_when_it_was_told_to(house: House, ours: Tenant) -> None:
    wanted = {"name": "Brief", "scopes": ["READ"], "expiresAt": "2026-05-04T10:00:00+02:00"}
    made = await ours.api.done("createApiKey", input=wanted)
    assert made["apiKey"]["expiresAt"] == "2026-05-04T08:00:00Z"
    assert made["apiKey"] in await ours.api.ask("apiKeys")
    brief = Api(house.app, made["token"])
    house.clock.advance(59 * MINUTE)
    assert (await brief.post(VIEWER)).status_code == 200
    house.clock.advance(MINUTE)
    assert (await brief.post(VIEWER)).status_code == 401


async def test_every_key_is_listed_oldest_first(house: House, ours: Tenant) -> None:
    made = [await ours.api.done("createApiKey", input={"name": name, "scopes": ["READ"]}) for name in ("B", "A")]
    await ours.api.done("revokeApiKey", id=made[0]["apiKey"]["id"])
    house.clock.advance(DAY)
    listed = await ours.api.ask("apiKeys")
    assert [each["name"] for each in listed] == ["Aurora's key", "B", "A"]
    assert [each["revokedAt"] is None for each in listed] == [True, False, True]
    assert [each["lastUsedAt"] for each in listed] == ["2026-05-05T07:00:00Z", None, None]


async def test_nothing_opens_the_door_but_a_key(house: House, ours: Tenant, theirs: Tenant) -> None:
    identity, _, secret = ours.token.partition(".")
    before = await dump(house.database)
    for token in (
        None,
        "",
        "kal_",
        identity,
        f"kal_{'0' * 32}.{'A' * 43}",
        ours.token + "x",
        f"{identity}.{secret[:-2]}{'AA' if secret[-2:] != 'AA' else 'BB'}",
        f"{identity}.{theirs.token.partition('.')[2]}",
    ):
        response = await Api(house.app, token).post(VIEWER)
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        assert "data" not in response.json()
    assert await dump(house.database) == before


async def test_a_key_of_another_app_is_not_found(house: House, ours: Tenant, theirs: Tenant) -> None:
    errors = await ours.api.refused("revokeApiKey", id=str(theirs.key_id))
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]
    assert (await theirs.api.post(VIEWER)).status_code == 200
