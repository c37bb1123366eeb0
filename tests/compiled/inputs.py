"""Scalars, enums and inputs that the made-up schemas are made of."""

from __future__ import annotations

import enum
from typing import Any, NewType

import strawberry

Shout = NewType("Shout", str)
Bag = NewType("Bag", dict[str, Any])


def _shouted(value: Any) -> Any:
    return None if value == "null" else str(value).upper()


def _read_shout(value: Any) -> str:
    if not isinstance(value, str) or value == "bad":
        raise ValueError("a Shout is a text other than bad")
    return value.lower()


SCALARS: Any = {
    Shout: strawberry.scalar(name="Shout", serialize=_shouted, parse_value=_read_shout),
    Bag: strawberry.scalar(name="Bag", serialize=dict, parse_value=lambda value: value),
}


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.enum
class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@strawberry.input
class Inner:
    number: int
    colour: Colour = Colour.RED
    shout: Shout | None = None
    names: list[str] = strawberry.field(default_factory=list)


@strawberry.input(one_of=True)
class Choice:
    text: strawberry.Maybe[str]
    inner: strawberry.Maybe[Inner]


@strawberry.input
class Tree:
    label: str
    children: list[Tree] | None = None


@strawberry.input
class Careful:
    number: int = 1

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("a Careful is never negative")


@strawberry.input
class Wish:
    text: str
    maybe: strawberry.Maybe[str]
    nullable: strawberry.Maybe[int | None]
    inner: Inner | None = None
    inners: list[Inner] = strawberry.field(default_factory=list)
    bag: Bag | None = None
    share: float | None = 0.5
    ids: list[strawberry.ID] | None = None
    unset: int | None = strawberry.UNSET
    careful: Careful | None = None


ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    (int, {}),
    (int, {"default": 7}),
    (int | None, {"default": None}),
    (str | None, {"default": strawberry.UNSET}),
    (list[int], {"default": [1, 2]}),
    (list[str | None] | None, {"default": None}),
    (strawberry.ID, {}),
    (float, {"default": 0.25}),
    (bool, {"default": True}),
    (Colour, {"default": Colour.BLUE}),
    (Size | None, {"default": None}),
    (Shout, {"default": "quiet"}),
    (Bag | None, {"default": None}),
    (strawberry.Maybe[str], {"default": None}),  # type: ignore[misc]
    (strawberry.Maybe[int | None], {"default": None}),  # type: ignore[misc]
    (Wish, {}),
    (Wish | None, {"default": None}),
    (list[Inner], {"default": []}),
    (Choice | None, {"default": None}),
    (Tree | None, {"default": None}),
    (Inner, {"default": Inner(number=3)}),
]
