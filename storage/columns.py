"""What the tables are written with: their root, and their kinds of columns, keys and indexes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKeyConstraint, MetaData, String, Text, text
from sqlmodel import Field, SQLModel

from storage.types import JSON_TYPE, Instant

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel):
    """The root of all tables."""

    metadata = MetaData(naming_convention=NAMES)


def moment(*, nullable: bool = False) -> Any:
    """An aware moment in UTC."""
    return Field(sa_type=Instant, nullable=nullable)


def characters(length: int | None = None, *, nullable: bool = False) -> Any:
    """Text, of so many characters at most."""
    return Field(sa_type=String(length) if length else Text, nullable=nullable)


def json_column(*, nullable: bool = False) -> Any:
    """JSON, which `None` is not."""
    return Field(sa_type=JSON_TYPE, nullable=nullable)


def since(default: str, type_: Any) -> Any:
    """A column that older rows, and older servers during an upgrade, do not know."""
    return Field(sa_type=type_, nullable=False, sa_column_kwargs={"server_default": text(default)})


def to(table: str, column: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """A reference to something of the same app, which it may go with."""
    return ForeignKeyConstraint(
        ["app_id", column], [f"{table}.app_id", f"{table}.id"], ondelete="CASCADE" if cascade else None
    )
