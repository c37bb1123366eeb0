"""`kalends doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from kalends.domain.access import read_token
from kalends.domain.time import zone_data_version
from kalends.domain.values import utc_now
from kalends.server.app import build_services
from kalends.server.graphiql_page import BUNDLE
from kalends.server.settings import Settings
from resolvers.access import authenticate
from storage.engine import Database
from storage.errors import NeedsOperator, StorageError
from storage.health import clock_of, rights_of
from storage.migrate import newest_revision, require_current

TOLERATED = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `state` is ok, warning or failed; `advice` says what to do."""

    subject: str
    state: str
    detail: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


async def examine(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """Look at one thing after the other."""
    try:
        skew = abs(await clock_of(database) - utc_now())
    except StorageError as error:
        advice = "Is KALENDS_DATABASE_URL right, and is the database running?"
        yield Finding("database", "failed", str(error), advice)
        return
    yield Finding("database", "ok", f"{database.url.get_backend_name()} answers")
    if skew > TOLERATED:
        detail = f"this machine and the database differ by {skew.total_seconds():.1f} s"
        yield Finding("clock", "failed", detail, "Synchronise both clocks by NTP.")
    else:
        yield Finding("clock", "ok", "agrees with the database's")
    try:
        await require_current(database)
        yield Finding("schema", "ok", f"at {newest_revision()}")
    except NeedsOperator as error:
        advice = "kalends serve migrates it" if database.is_sqlite else "Run kalends migrate."
        yield Finding("schema", "warning" if database.is_sqlite else "failed", str(error), advice)
        return
    for problem, advice in await rights_of(database):
        yield Finding("rights", "failed", problem, advice)
    services = build_services(database, settings)
    for name in services.providers.names:
        where = "keeps copies elsewhere" if services.providers[name].capabilities.remote else "lives only here"
        yield Finding(f"provider {name}", "ok", where)
    if settings.anonymous_key is not None:
        text = settings.anonymous_key.get_secret_value()
        good = bool(read_token(text)) and await authenticate(services, text) is not None
        detail = "requests without a key act with KALENDS_ANONYMOUS_KEY"
        if good:
            yield Finding("anonymous key", "warning", detail, "Let nobody but a trusted gateway connect.")
        else:
            yield Finding("anonymous key", "failed", "the key does not open the door", "Make one: kalends key create.")
    yield Finding("time zones", "ok", f"tzdata {zone_data_version()}")
    if settings.development and not (BUNDLE / "manifest.json").is_file():
        yield Finding("GraphiQL", "warning", "not bundled", "Run make graphiql; it needs npm.")
