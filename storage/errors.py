"""What can go wrong with the database.

StorageError
├── Unavailable        retry later: locked, overloaded, restarting, out of space
│   └── Unacknowledged a commit was not answered
└── NeedsOperator      a person must act
    ├── AccessRefused  the user, the password, the database or a right is wrong
    ├── SchemaBehind   `kalends migrate` has not run
    ├── SchemaAhead    the database belongs to a newer Kalends
    ├── NoSecretKey    there is no key to seal with (`storage/secrets.py`)
    └── SecretLost     what is sealed cannot be opened
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from kalends.domain.errors import KalendsError


class StorageError(KalendsError):
    """The root of this layer's errors."""


class Unavailable(StorageError):
    """The database cannot answer now; nothing was written, and the same request may succeed in a moment."""


class Unacknowledged(Unavailable):
    """The database did not answer a commit: nobody can say whether it happened."""


class NeedsOperator(StorageError):
    """The database cannot be used until a person has acted; the message says how."""


class AccessRefused(NeedsOperator):
    """The database does not let us in, or not do what is needed; the message is its own."""


class SchemaBehind(NeedsOperator):
    """The database's schema is older than this version of Kalends."""


class SchemaAhead(NeedsOperator):
    """The database's schema is newer than this version of Kalends."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection exceptions, insufficient resources,
# operator intervention, and the lock and serialisation failures that a retry cures.
_PASSING_CLASSES = ("08", "53", "57")
_PASSING_STATES = ("40001", "40P01", "55P03", "25006")
# Invalid authorisation, invalid catalog name.
_REFUSING_CLASSES = ("28", "3D")
_INSUFFICIENT_PRIVILEGE = "42501"
# https://www.sqlite.org/rescode.html; the low byte is the primary code.
_PASSING_SQLITE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@contextmanager
def translated(*, rights: bool = False) -> Iterator[None]:
    """Raise `Unavailable` for what passes by itself and `AccessRefused` for what a person must mend.

    Everything else is a defect, and goes through as it is: a lack of `rights` too, unless the block is one that a
    user without them may have begun, such as a migration.
    """
    try:
        yield
    except exc.TimeoutError as error:
        raise Unavailable("every connection to the database is in use") from error
    except exc.DBAPIError as error:
        state = _state(error)
        if error.connection_invalidated or state in _PASSING_STATES or state[:2] in _PASSING_CLASSES:
            raise Unavailable("the database is busy or restarting") from error
        if state[:2] in _REFUSING_CLASSES or (rights and state == _INSUFFICIENT_PRIVILEGE):
            raise AccessRefused(f"the database refuses: {error.orig}") from error
        raise
    except OSError as error:  # asyncpg's refusal to connect
        raise Unavailable("the database cannot be reached") from error


def _state(error: exc.DBAPIError) -> str:
    """Return PostgreSQL's SQLSTATE of an error; for SQLite, and a broken connection, the one that fits best."""
    cause: BaseException | None = error.orig
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            passes = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
            return "55P03" if passes else "XX000"
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state
        cause = cause.__cause__
    return "08000" if isinstance(error, exc.InterfaceError) else "XX000"
