"""What is kept of a link's agreements, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kalends.domain.merge import Agreement
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import Conflict, SyncWarning, WarningCode


def write_agreement(agreed: Agreement) -> dict[str, Any]:
    """Return an agreement as JSON; what they say like us is not written twice."""
    ours = to_plain(agreed.ours)
    theirs = None if agreed.theirs is None else to_plain(agreed.theirs)
    return {"ours": ours} if theirs == ours else {"ours": ours, "theirs": theirs}


def read_agreement(row: Mapping[str, Any]) -> Agreement:
    """Return an agreement that was written."""
    ours = from_plain(row["ours"])
    if "theirs" not in row:
        return Agreement(ours, ours)
    return Agreement(ours, None if row["theirs"] is None else from_plain(row["theirs"]))


def write_conflict(conflict: Conflict) -> dict[str, Any]:
    """Return a conflict as JSON."""
    return {"theirs": to_plain(conflict.theirs), "etag": conflict.etag, "places": list(conflict.places)}


def read_conflict(row: Mapping[str, Any]) -> Conflict:
    """Return a conflict that was written."""
    return Conflict(from_plain(row["theirs"]), row["etag"], tuple(row["places"]))


def write_warnings(warnings: Sequence[SyncWarning]) -> list[list[str]] | None:
    """Return warnings as JSON; nothing for none."""
    return [[each.code, each.message] for each in warnings] or None


def read_warnings(rows: Sequence[Sequence[str]] | None) -> tuple[SyncWarning, ...]:
    """Return warnings that were written."""
    return tuple(SyncWarning(WarningCode(code), message) for code, message in rows or ())
