"""The calendar service of the example, and the way to it: what requests over HTTP are elsewhere.

EXAMPLE_CALENDARS names a folder, which must be there. Each calendar is a folder in it, each event a file of JSON, whose
name is the event's id and whose etag is the hash of its bytes. Writers wait for one another and put whole files into
place, so that nobody reads a half, or writes over what nobody has seen.
"""

from __future__ import annotations

import fcntl
import json
import os
from asyncio import to_thread
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from providers.errors import AlreadyExists, CalendarGone, Gone, Refused, Stale, TokenExpired, Unreachable


@dataclass(frozen=True)
class File:
    """An event's file."""

    name: str
    etag: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """What has changed in a calendar since a token: the etags of what is there, by name, and what is gone."""

    etags: Mapping[str, str]
    gone: Sequence[str]
    token: str


class Folders:
    """The calendars. Every method works in a thread, since a disk may be slow, and may raise `CalendarGone`."""

    def __init__(self) -> None:
        self._home = Path(os.environ.get("EXAMPLE_CALENDARS", "calendars"))

    async def get(self, calendar: str, name: str) -> File:
        """Return a file. Raises `Gone`, or `Refused` where it is not JSON."""
        return await to_thread(self._get, calendar, name)

    async def put(self, calendar: str, name: str, body: Mapping[str, Any], known: str | None = None) -> File:
        """Write a file over the version with the etag that is known, or a new one.

        Raises `Stale` or `Gone` where it is another version by now, `AlreadyExists` where a new one meets the name.
        """
        return await to_thread(self._put, calendar, name, body, known)

    async def remove(self, calendar: str, name: str, known: str | None) -> None:
        """Delete a file, of the version that is known or of any. Raises `Gone` or `Stale`."""
        await to_thread(self._remove, calendar, name, known)

    async def changes(self, calendar: str, token: str | None) -> Changes:
        """Compare a calendar with how it was. A folder does not remember that, so the token says it all.

        Raises `TokenExpired` for what is no token.
        """
        return await to_thread(self._changes, calendar, token)

    def _get(self, calendar: str, name: str) -> File:
        with self._alone(calendar) as folder:
            raw = _read(folder / f"{name}.json")
        try:
            return File(name, _etag(raw), dict(json.loads(raw)))
        except (TypeError, ValueError) as error:
            raise Refused("The file cannot be read.") from error

    def _put(self, calendar: str, name: str, body: Mapping[str, Any], known: str | None) -> File:
        with self._alone(calendar) as folder:
            file, draft, raw = folder / f"{name}.json", folder / f"{uuid4()}.draft", json.dumps(body).encode()
            if known is not None and _etag(_read(file)) != known:
                raise Stale("The event was changed in its folder.")
            try:
                draft.write_bytes(raw)
                if known is None:
                    os.link(draft, file)  # fails where there is a file
                else:
                    draft.replace(file)
            except FileExistsError as error:
                raise AlreadyExists("The folder has this event.") from error
            finally:
                draft.unlink(missing_ok=True)
        return File(name, _etag(raw), dict(body))

    def _remove(self, calendar: str, name: str, known: str | None) -> None:
        with self._alone(calendar) as folder:
            file = folder / f"{name}.json"
            if known not in (None, _etag(_read(file))):
                raise Stale("The event was changed in its folder.")
            file.unlink()

    def _changes(self, calendar: str, token: str | None) -> Changes:
        try:
            before = dict(json.loads(token)) if token else {}
        except (TypeError, ValueError) as error:
            raise TokenExpired("The folder does not know this token.") from error
        with self._alone(calendar) as folder:
            now = {file.stem: _etag(file.read_bytes()) for file in sorted(folder.glob("*.json"))}
        changed = {name: etag for name, etag in now.items() if before.get(name) != etag}
        return Changes(changed, [name for name in before if name not in now], json.dumps(now))

    @contextmanager
    def _alone(self, calendar: str) -> Iterator[Path]:
        """Open a calendar's folder, and keep others waiting.

        It is made where there is none, but not what it is in: a disk that is not there is no empty calendar.
        """
        folder = self._home / calendar
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise CalendarGone("The folder of this calendar is not there.") from error
        try:
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield folder
            finally:
                os.close(handle)
        except OSError as error:
            raise Unreachable("The folder of this calendar cannot be used at the moment.") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise Gone("The folder does not have this event any more.") from error


def _etag(raw: bytes) -> str:
    return sha256(raw).hexdigest()[:32]
