"""The settings as a table: `docs/settings.md`, and what `kalends settings` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kalends.server.settings import Settings

PREFIX = "KALENDS_"
HIDDEN = "(hidden)"
BESIDE = frozenset({"KALENDS_CONFIG", "KALENDS_TEST_POSTGRES"})
"""Variables that are no settings: where the file is, and a database for the tests."""

_INTRODUCTION = """\
# Settings

Made from `kalends/server/settings.py` by `kalends settings --markdown`. `kalends settings` shows the ones in force.

A setting is an environment variable, or a line of a TOML file with the same name in lower case and without `KALENDS_`:
`KALENDS_PORT=8080` or `port = 8080`. The file is `kalends.toml` in the working directory, or the one that
`KALENDS_CONFIG` names. A variable wins over the file. A list in a variable is written as JSON. A name in the file that
is no setting stops the start; variables that are none are listed by `kalends settings`.

| variable | default | accepts | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `value` is the one in force, never a secret; `default` and `accepts` are written for reading."""

    variable: str
    value: str
    default: str
    accepts: str
    meaning: str

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return asdict(self)


def rows(settings: Settings | None = None) -> list[Row]:
    """Return every setting in the order of the class; without `settings`, each with its default."""
    return [_row(name, field, settings) for name, field in Settings.model_fields.items()]


def markdown() -> str:
    """Return the text of `docs/settings.md`."""
    lines = (
        f"| `{row.variable}` | {f'`{row.default}`' if row.default else 'none'} | {row.accepts} | {row.meaning} |\n"
        for row in rows()
    )
    return _INTRODUCTION + "".join(lines)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that look like settings and are none."""
    known = {_variable(name) for name in Settings.model_fields} | BESIDE
    return sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)


def _row(name: str, field: FieldInfo, settings: Settings | None) -> Row:
    value = field.default if settings is None else getattr(settings, name)
    return Row(
        variable=_variable(name),
        value=HIDDEN if isinstance(value, SecretStr) and value != field.default else _written(value),
        default=_written(field.default),
        accepts=_accepted(field),
        meaning=(field.description or "").replace("|", "\\|"),
    )


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _written(value: Any) -> str:
    """Write a value as a variable would hold it."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool | list):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _accepted(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    if field.annotation not in (int, float):
        return "a list of text" if get_origin(field.annotation) is list else "text"
    kind = "a whole number" if field.annotation is int else "a number"
    bounds = []
    for rule in field.metadata:
        match rule:
            case Ge():
                bounds.append(f"at least {rule.ge}")
            case Gt():
                bounds.append(f"more than {rule.gt}")
            case Le():
                bounds.append(f"at most {rule.le}")
            case Lt():
                bounds.append(f"less than {rule.lt}")
    return ", ".join([kind, *bounds])
