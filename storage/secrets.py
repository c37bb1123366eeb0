"""Encryption at rest of what opens other people's accounts: AES-256-GCM, with a key that the operator keeps.

A sealed value is one byte for the form, eight for the key's id, twelve for the nonce, and the ciphertext. Whose it is
and what it is are authenticated with it, so that it cannot be moved to another app, another account or another use.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import NeedsOperator

_FORM = b"\x01"
_KEY_BYTES, _ID_BYTES, _NONCE_BYTES = 32, 8, 12
EXPECTED = "32 random bytes in base64, as kalends secrets new prints them"


class NoSecretKey(NeedsOperator):
    """There is no key to seal with."""

    def __init__(self) -> None:
        super().__init__("Set KALENDS_SECRET_KEYS first: kalends secrets new makes a key.")


class SecretLost(NeedsOperator):
    """A sealed value cannot be opened: its key is not among ours, or it was tampered with."""

    def __init__(self) -> None:
        super().__init__("A stored secret cannot be opened: its key is missing in KALENDS_SECRET_KEYS.")


def new_key() -> str:
    """Return a new key, the way the operator keeps it."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


class Vault:
    """Seals with the first key, and opens with any. Raises `ValueError` for text that is no key.

    With a `file` instead of keys there is one, in that file, which is made when the first secret is sealed.
    """

    def __init__(self, keys: Sequence[str] = (), *, file: Path | None = None) -> None:
        self._file = file
        self._first: bytes | None = None
        self._keys: dict[bytes, AESGCM] = {}
        for key in keys:
            self._add(key)

    @property
    def usable(self) -> bool:
        """Whether anything can be sealed."""
        return self._first is not None or self._file is not None

    def _add(self, text: str) -> None:
        key = _read_key(text)
        self._keys[_id_of(key)] = AESGCM(key)
        self._first = self._first or _id_of(key)

    def _read_file(self, *, make: bool) -> None:
        """Take the key from the file, where it was not yet; another process may have made it in the meantime."""
        if self._file is None or self._first is not None:
            return
        if make:
            _write_once(self._file, new_key() + "\n")
        if self._file.is_file():
            self._add(self._file.read_text().strip())

    def seal(self, plain: bytes, *, app_id: UUID, owner: UUID, kind: str) -> bytes:
        """Encrypt something that belongs to an app's `owner`; raise `NoSecretKey` where there is no key."""
        self._read_file(make=True)
        if self._first is None:
            raise NoSecretKey
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, plain, _label(app_id, owner, kind))
        return _FORM + self._first + nonce + sealed

    def open(self, sealed: bytes, *, app_id: UUID, owner: UUID, kind: str) -> bytes:
        """Decrypt it; raise `SecretLost` where that is not possible."""
        self._read_file(make=False)
        body = sealed[len(_FORM) :]
        key = self._keys.get(body[:_ID_BYTES])
        if key is None or sealed[: len(_FORM)] != _FORM:
            raise SecretLost
        nonce, text = body[_ID_BYTES : _ID_BYTES + _NONCE_BYTES], body[_ID_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, text, _label(app_id, owner, kind))
        except (InvalidTag, ValueError):  # a value that was cut off has no whole nonce
            raise SecretLost from None

    def is_old(self, sealed: bytes) -> bool:
        """Tell whether something was sealed with another key than the first."""
        self._read_file(make=False)
        return sealed[len(_FORM) : len(_FORM) + _ID_BYTES] != self._first


def _write_once(path: Path, text: str) -> None:
    """Write a file for us alone, whole or not at all, unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # what it seals is worth nothing without it after a power cut
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a secret key must be {EXPECTED}")
    return key


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"kalends key id" + key).digest()[:_ID_BYTES]


def _label(app_id: UUID, owner: UUID, kind: str) -> bytes:
    return app_id.bytes + owner.bytes + kind.encode()
