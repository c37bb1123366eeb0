"""What opens other people's accounts: sealed for one owner and one use, and opened by nothing else."""

from __future__ import annotations

import stat
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.secrets import NoSecretKey, SecretLost, Vault, new_key

APP, OWNER = UUID(int=1), UUID(int=2)
KEY, OTHER = (b64encode(bytes([byte] * 32)).decode() for byte in (1, 2))


def seal(
    vault: Vault, plain: bytes = b"grant", *, app_id: UUID = APP, owner: UUID = OWNER, kind: str = "grant"
) -> bytes:
    return vault.seal(plain, app_id=app_id, owner=owner, kind=kind)


def opened(vault: Vault, sealed: bytes, *, app_id: UUID = APP, owner: UUID = OWNER, kind: str = "grant") -> bytes:
    return vault.open(sealed, app_id=app_id, owner=owner, kind=kind)


@given(st.binary(max_size=300), st.uuids(), st.uuids(), st.text(max_size=20))
def test_what_was_sealed_is_opened_as_it_was(plain: bytes, app_id: UUID, owner: UUID, kind: str) -> None:
    vault = Vault([KEY])
    sealed = seal(vault, plain, app_id=app_id, owner=owner, kind=kind)
    assert opened(Vault([KEY]), sealed, app_id=app_id, owner=owner, kind=kind) == plain


def test_the_clear_text_is_not_in_what_is_sealed_and_no_two_are_alike() -> None:
    vault, plain = Vault([KEY]), b"refresh-token-of-somebody"
    sealed = {seal(vault, plain) for _ in range(50)}
    assert len(sealed) == 50
    assert not [each for each in sealed if plain in each or plain[:8] in each]


def test_a_change_to_any_byte_is_noticed() -> None:
    vault = Vault([KEY])
    sealed = seal(vault)
    for place in range(len(sealed)):
        for changed in (sealed[place] ^ 1, sealed[place] ^ 0x80):
            with pytest.raises(SecretLost):
                opened(vault, sealed[:place] + bytes([changed]) + sealed[place + 1 :])


@pytest.mark.parametrize("length", [0, 1, 8, 9, 20, 21, 36])
def test_a_piece_of_what_was_sealed_opens_nothing(length: int) -> None:
    vault = Vault([KEY])
    with pytest.raises(SecretLost):
        opened(vault, seal(vault)[:length])


def test_more_than_what_was_sealed_opens_nothing() -> None:
    vault = Vault([KEY])
    with pytest.raises(SecretLost):
        opened(vault, seal(vault) + b"\0")


def test_another_app_another_owner_and_another_use_cannot_open_it() -> None:
    vault = Vault([KEY])
    sealed = seal(vault)
    for app_id, owner, kind in ((uuid4(), OWNER, "grant"), (APP, uuid4(), "grant"), (APP, OWNER, "verifier")):
        with pytest.raises(SecretLost):
            opened(vault, sealed, app_id=app_id, owner=owner, kind=kind)
    assert opened(vault, sealed) == b"grant"


def test_the_owner_cannot_take_the_place_of_the_app() -> None:
    vault = Vault([KEY])
    with pytest.raises(SecretLost):
        opened(vault, seal(vault), app_id=OWNER, owner=APP)


# Keys


def test_the_first_key_seals_and_every_key_opens() -> None:
    old, both, new = Vault([KEY]), Vault([OTHER, KEY]), Vault([OTHER])
    sealed, renewed = seal(old), seal(both)
    assert opened(both, sealed) == opened(both, renewed) == opened(new, renewed) == b"grant"
    assert (both.is_old(sealed), both.is_old(renewed), old.is_old(sealed)) == (True, False, False)


def test_what_was_sealed_with_a_key_that_is_gone_is_lost() -> None:
    with pytest.raises(SecretLost, match="KALENDS_SECRET_KEYS"):
        opened(Vault([OTHER]), seal(Vault([KEY])))


def test_without_a_key_nothing_can_be_sealed_and_nothing_opened() -> None:
    vault = Vault()
    assert not vault.usable
    with pytest.raises(NoSecretKey, match="kalends secrets new"):
        seal(vault)
    with pytest.raises(SecretLost):
        opened(vault, seal(Vault([KEY])))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        b64encode(b"k" * 31).decode(),
        b64encode(b"k" * 33).decode(),
        KEY[:-1],
        KEY + "=",
        f"{KEY}\n{KEY}",
        urlsafe_b64encode(b"\xff" * 32).decode(),
        "ключ" * 11,
    ],
)
def test_text_that_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="a secret key must be 32 random bytes in base64") as caught:
        Vault([KEY, text])
    assert not text or text not in str(caught.value)


def test_new_keys_differ() -> None:
    assert len({new_key() for _ in range(50)}) == 50
    assert Vault([new_key()]).usable


# The file of an embedded database


def test_the_file_is_made_with_the_first_secret_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "kalends.key"
    vault = Vault(file=file)
    assert vault.usable
    assert not file.exists()
    sealed = seal(vault)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert opened(Vault(file=file), sealed) == b"grant"
    assert opened(Vault([file.read_text().strip()]), sealed) == b"grant"
    assert not Vault(file=file).is_old(sealed)


def test_opening_makes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "kalends.key"
    with pytest.raises(SecretLost):
        opened(Vault(file=file), seal(Vault([KEY])))
    assert not file.exists()


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "kalends.key"
    file.write_text(f"{KEY}\n")
    assert opened(Vault([KEY]), seal(Vault(file=file))) == b"grant"
    assert file.read_text() == f"{KEY}\n"


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kalends.key"
    file.write_text("hunter2\n")
    with pytest.raises(ValueError, match="a secret key must be"):
        seal(Vault(file=file))


SEALING = """
import sys
from pathlib import Path
from uuid import UUID
from storage.secrets import Vault

sys.stdin.readline()
sealed = Vault(file=Path(sys.argv[1])).seal(b"grant", app_id=UUID(int=1), owner=UUID(int=2), kind="grant")
print(sealed.hex())
"""


def test_of_several_processes_that_need_a_key_at_once_all_have_the_same(tmp_path: Path) -> None:
    file = tmp_path / "kalends.key"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SEALING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for child in children:  # all have started before the first one may go on
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    sealed = [bytes.fromhex(child.communicate(timeout=60)[0]) for child in children]
    assert [opened(Vault(file=file), each) for each in sealed] == [b"grant"] * len(children)
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
