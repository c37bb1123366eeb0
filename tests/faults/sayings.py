"""Whether everything that was said is still said, or was replaced by somebody who knew of it.

A change is in its place where the event says it now; where somebody saw it and wrote something else, or deleted the
event; or where it clashed with another one, and somebody has decided against it. Otherwise it was lost unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.faults.ledger import FIELDS, Entry, Said


def unheard(entry: Entry, finals: Sequence[Said]) -> list[str]:
    """Return what was said and is lost. `finals` are what the events say that are left of the entry."""
    seen = {(each.field, each.over) for each in entry.sayings}
    seen |= {(name, saw[name]) for saw in entry.deletions for name in FIELDS}
    seen |= entry.rejected | {(name, final[name]) for final in finals for name in FIELDS}
    return [
        f"{entry.key}: {each.field} was {_shown(each.value)}, said {'there' if each.there else 'here'}, "
        f"and nobody who saw it has changed it: now {[_shown(final[each.field]) for final in finals]}"
        for each in entry.sayings
        if (each.field, each.value) not in seen
    ]


def invented(entry: Entry, final: Said) -> list[str]:
    """Return what an event says that nobody has ever said."""
    said = {(each.field, each.value) for each in entry.sayings}
    return [
        f"{entry.key}: {name} is {_shown(final[name])}, which nobody has said"
        for name in FIELDS
        if (name, final[name]) not in said
    ]


def outlived(entry: Entry) -> bool:
    """Tell whether an event that is there was deleted by somebody who knew all that was ever said of it.

    A change of which whoever deleted it did not know brings an event back.
    """
    return any(_knew_all(entry, saw) for saw in entry.ended)


def _knew_all(entry: Entry, saw: Said) -> bool:
    return all(
        each.value in _before(entry, each.field, saw[each.field]) or (each.field, each.value) in entry.rejected
        for each in entry.sayings
    )


def _before(entry: Entry, name: str, value: Any) -> set[Any]:
    """Return a value, and all those that led to it."""
    over = {each.value: each.over for each in entry.sayings if each.field == name}
    found: set[Any] = set()
    while value is not None and value not in found:
        found.add(value)
        value = over.get(value)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{each:%d %H:%M:%S}" for each in value)
    return repr(value)
