import re
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.access import (
    ApiKey,
    Forbidden,
    Principal,
    Scope,
    new_secret,
    proves,
    read_token,
    require,
    secret_hash,
    token,
)
from tests.helpers import HOUR, NOW

KEY = ApiKey(uuid4(), uuid4(), "ci", secret_hash("s3cret"), frozenset({Scope.READ}), NOW)
ID, SECRET = "0123456789abcdef0123456789abcdef", "x" * 43


@given(st.uuids())
def test_a_token_is_read_as_it_is_written(key_id: UUID) -> None:
    secret = new_secret()
    assert read_token(token(key_id, secret)) == (key_id, secret)
    assert re.fullmatch(r"kal_[0-9a-f]{32}\.[A-Za-z0-9_-]{43}", token(key_id, secret))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"kal_{ID}",
        f"kal_{ID}.",
        f"kal_{ID}.{SECRET}x",
        f"kal_{ID}.{SECRET[1:]}",
        f"kal_{ID}.{SECRET}\n",
        f" kal_{ID}.{SECRET}",
        f"kal_{ID.upper()}.{SECRET}",
        f"KAL_{ID}.{SECRET}",
        f"kal_{ID[1:]}.{SECRET}",
        "kal_" + "\N{ARABIC-INDIC DIGIT ZERO}" * 32 + f".{SECRET}",
        f"kal_{ID}.{'é' * 43}",
        f"Bearer kal_{ID}.{SECRET}",
    ],
)
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert read_token(text) is None


@given(st.text(st.characters(categories=None)))
def test_reading_a_token_never_raises(text: str) -> None:
    assert read_token(text) is None


def test_secrets_differ_and_only_their_hash_proves_them() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert proves(KEY, "s3cret")
    assert not proves(KEY, "s3cret ")
    assert b"s3cret" not in KEY.secret_hash


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "usable"),
    [
        (None, None, True),
        (NOW + HOUR, None, True),
        (NOW, None, False),  # the moment of expiry is past it
        (NOW - HOUR, None, False),
        (None, NOW, False),
        (NOW + HOUR, NOW + HOUR, False),
    ],
)
def test_a_key_opens_the_door_until_it_expires_or_is_revoked(
    expires_at: datetime | None, revoked_at: datetime | None, usable: bool
) -> None:
    assert replace(KEY, expires_at=expires_at, revoked_at=revoked_at).usable(NOW) is usable


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize("needed", Scope)
def test_no_scope_includes_another(held: Scope, needed: Scope) -> None:
    principal = Principal(KEY.app_id, KEY.id, frozenset({held}))
    if held is needed:
        require(principal, needed)
    else:
        with pytest.raises(Forbidden, match=needed) as caught:
            require(principal, needed)
        assert caught.value.scope is needed


def test_a_principal_has_the_name_of_its_key() -> None:
    assert Principal(KEY.app_id, KEY.id, frozenset()).name == f"key:{KEY.id}"
