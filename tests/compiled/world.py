"""A schema made up from a seed, whose resolvers behave in every way that a resolver may, the same on every run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Annotated, Any, Optional
from zlib import crc32

import strawberry
from graphql import GraphQLError
from strawberry.dataloader import DataLoader
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from tests.compiled.inputs import ARGUMENTS, SCALARS, Bag, Colour, Inner, Shout, Size, Wish


class Maybe(BasePermission):
    message = "Not for you."

    def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ARG002
        return bool(info.context.fate("permission", info.field_name) > 0.3)


class Twice(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return await next_(source, info, **kwargs)


class Broken(Exception):
    """Raised by resolvers."""


class Odd:
    """A value that no type expects."""

    def __repr__(self) -> str:
        return "odd"


@dataclass
class Case:
    """The context of one execution. What happens depends on `seed` and on who asks, never on the order."""

    seed: int
    trouble: float
    log: list[str] = field(default_factory=list)

    def fate(self, *parts: object) -> float:
        """Return a number from 0 to 1 that is the same whenever the same is asked."""
        return crc32(repr((self.seed, *parts)).encode()) / 2**32

    def __post_init__(self) -> None:
        async def load(keys: list[str]) -> list[Any]:
            self.log.append(f"batch {sorted(keys)}")
            await asyncio.sleep(0)
            return [Broken(f"no {key}") if self.fate("load", key) < self.trouble else f"loaded {key}" for key in keys]

        self.loader: DataLoader[str, Any] = DataLoader(load)


CASE: ContextVar[Case] = ContextVar("case")
"""The case that runs, for resolvers that ask for no `info`."""

Kind = tuple[str, Any]
"""An output type: optional or list with what is in it, leaf with its name, objects with the names of the types."""


@dataclass
class World:
    """The schema, and the types of which its resolvers make values; `attributes` are theirs without resolvers."""

    types: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, dict[str, Kind]] = field(default_factory=dict)
    schema: strawberry.Schema = field(init=False)


def _value(world: World, kind: Kind, at: str, case: Case, *, plain: bool = False) -> Any:
    """Return a value of an output type, now and then a wrong one; where `plain`, nothing in it must be awaited."""
    chance = case.fate("value", at)
    if chance < case.trouble:
        strange: list[Any] = [
            None,
            Broken(at),
            GraphQLError("No.", extensions={"code": at}),
            Odd(),
            math.nan,
            [],
            2**40,
            "",
            {},
        ]
        return strange[int(case.fate("strange", at) * len(strange))]
    origin, inner = kind
    if origin == "optional":
        return None if chance > 0.85 else _value(world, inner, at, case, plain=plain)
    if origin == "list":
        count = int(case.fate("count", at) * 4)
        form = case.fate("form", at)
        plain = plain or form < 0.1
        items = [_item(world, inner, f"{at}[{index}]", case, plain) for index in range(count)]
        if plain:
            return tuple(items) if form > 0.05 else _streamed(items)
        return iter(items) if form < 0.15 else items
    if origin == "leaf":
        return LEAVES[inner](at, chance)
    return _object(world, inner[int(case.fate("which", at) * len(inner))], at, case)


def _object(world: World, name: str, at: str, case: Case) -> Any:
    attributes = {
        attribute: _value(world, kind, f"{at}.{attribute}", case, plain=True)
        for attribute, kind in world.attributes[name].items()
    }
    return world.types[name](name=at, **attributes)


def _item(world: World, kind: Kind, at: str, case: Case, plain: bool) -> Any:
    value = _value(world, kind, at, case, plain=plain)
    return _later(value, at, case) if not plain and case.fate("item", at) < 0.1 else value


async def _streamed(items: list[Any]) -> AsyncGenerator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def _later(value: Any, at: str, case: Case) -> Any:
    for _ in range(int(case.fate("sleep", at) * 4)):
        await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


LEAVES: dict[str, Callable[[str, float], Any]] = {
    "str": lambda at, _: at,
    "int": lambda _, chance: int(chance * 100),
    "float": lambda _, chance: chance if chance < 0.8 else 3,
    "bool": lambda _, chance: chance < 0.6,
    "id": lambda at, chance: strawberry.ID(at) if chance < 0.8 else 7,
    "colour": lambda _, chance: Colour.RED if chance < 0.7 else "red",
    "size": lambda _, chance: Size.SMALL if chance < 0.7 else 2,
    "shout": lambda at, chance: at if chance < 0.85 else "null",
    "bag": lambda at, _: {"at": at},
    "time": lambda _, chance: datetime(2026, 1, 1, int(chance * 23), tzinfo=UTC),
    "day": lambda _, chance: date(2026, 1, 1 + int(chance * 27)),
}
ANNOTATIONS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "id": strawberry.ID,
    "colour": Colour,
    "size": Size,
    "shout": Shout,
    "bag": Bag,
    "time": datetime,
    "day": date,
}


STYLES = ("attribute", "attribute", "sync", "sync", "async", "async", "loader", "permission", "extension", "future")


def make_world(seed: int) -> World:
    """Return a schema with six object types, an interface over three of them, and a union."""
    return _Maker(Random(seed)).make()


class _Maker:
    """Makes types one after the other; each may refer to those that were made before it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._world = World()
        self._named: Any = strawberry.interface(type("Named", (), {"__annotations__": {"name": str}}))
        self._either: Any = None

    def make(self) -> World:
        for index in range(6):
            self._type(f"Thing{index}", (self._named,) if index < 3 else ())
            if index == 3:
                members = self._world.types["Thing2"] | self._world.types["Thing3"]
                self._either = Annotated[members, strawberry.union("Either")]
        query, mutation = [self._type(name, (), 9) for name in ("Query", "Mutation")]
        types = [self._world.types[f"Thing{index}"] for index in range(6)]
        config = StrawberryConfig(scalar_map=SCALARS)
        self._world.schema = strawberry.Schema(query, mutation, types=types, config=config)
        return self._world

    def _type(self, name: str, bases: tuple[Any, ...], count: int = 6) -> Any:
        annotations: dict[str, Any] = {} if count == 9 else {"name": str}
        namespace: dict[str, Any] = {"__annotations__": annotations}
        attributes: dict[str, Kind] = {}
        for index in range(count):
            kind, style = self._kind(), self._random.choice(STYLES)
            if style == "attribute" and "name" in annotations:
                attributes[f"field{index}"] = kind
                annotations[f"field{index}"] = self._annotation(kind)
            else:
                namespace[f"field{index}"] = self._field(f"field{index}", kind, style)
        made = strawberry.type(type(name, bases, namespace))
        self._world.attributes[name] = attributes
        self._world.types[name] = made
        return made

    def _kind(self, depth: int = 0) -> Kind:
        chance = self._random.random()
        if chance < 0.3:
            return "optional", self._bare(depth)
        return self._bare(depth)

    def _bare(self, depth: int) -> Kind:
        chance = self._random.random()
        if chance < 0.3 and depth < 2:
            return "list", self._kind(depth + 1)
        made = sorted(self._world.types)
        if chance < 0.6 or not made:
            return "leaf", self._random.choice(sorted(LEAVES))
        if chance < 0.7 and len(made) >= 3:
            return "objects", ("Thing0", "Thing1", "Thing2")
        if chance < 0.8 and self._either:
            return "objects", ("Thing2", "Thing3")
        return "objects", (self._random.choice(made),)

    def _annotation(self, kind: Kind) -> Any:
        origin, inner = kind
        if origin == "optional":
            return Optional[self._annotation(inner)]  # noqa: UP045  `|` knows no forward references
        if origin == "list":
            return list[self._annotation(inner)]  # type: ignore[misc]
        if origin == "leaf":
            return ANNOTATIONS[inner]
        return {3: self._named, 2: self._either}.get(len(inner)) or self._world.types[inner[0]]

    def _field(self, name: str, kind: Kind, style: str) -> Any:
        if style == "loader":
            kind = self._random.choice([("optional", ("leaf", "str")), ("leaf", "str")])
        arguments = self._random.sample(ARGUMENTS, self._random.choice([0, 0, 1, 2]))
        source = self._random.choice(["self", "self", "self", "root"])
        asks = self._random.random() < 0.4 or style == "permission"
        awaits = style in ("async", "loader") and self._random.random() < 0.8
        resolver = _resolver(
            name, self._annotation(kind), arguments, source, asks, awaits, self._act(name, kind, style)
        )
        if style == "permission":
            return strawberry.field(resolver=resolver, permission_classes=[Maybe])
        return strawberry.field(resolver=resolver, extensions=[Twice()] if style == "extension" else [])

    def _act(self, name: str, kind: Kind, style: str) -> Callable[[Any, dict[str, Any]], Any]:
        world = self._world

        def act(parent: Any, given: dict[str, Any]) -> Any:
            case = CASE.get()
            shown = ", ".join(f"{key}={value!r}" for key, value in sorted(given.items()))
            at = f"{getattr(parent, 'name', '')}.{name}({shown})"
            case.log.append(at)
            for value in given.values():
                _change(value)
            if style == "loader":
                return case.loader.load(f"{name}{int(case.fate('key', at) * 4)}")
            made = _value(world, kind, at, case, plain=style in ("permission", "extension"))
            if style == "future":
                return asyncio.ensure_future(_later(made, at, case))
            if isinstance(made, Exception) and style in ("sync", "permission") and case.fate("raise", at) < 0.5:
                raise made
            return _later(made, at, case) if style == "async" else made

        return act


def _resolver(
    name: str,
    returned: Any,
    arguments: list[tuple[Any, dict[str, Any]]],
    source: str,
    asks: bool,
    awaits: bool,
    act: Callable[[Any, dict[str, Any]], Any],
) -> Any:
    """Return a function with these parameters: Strawberry reads them from its signature."""
    scope: dict[str, Any] = {
        "__name__": __name__,
        "Any": Any,
        "Info": strawberry.Info,
        "Returned": returned,
        "act": act,
    }
    parameters = [source if source == "self" else f"{source}: Any", *(["info: Info"] if asks else [])]
    if arguments:
        parameters.append("*")
    for index, (of, options) in enumerate(arguments):
        scope |= {f"Type{index}": of, f"default{index}": options.get("default")}
        parameters.append(f"a{index}: Type{index}" + (f" = default{index}" if options else ""))
    given = ", ".join(f"'a{index}': a{index}" for index in range(len(arguments)))
    head = f"{'async ' if awaits else ''}def {name}({', '.join(parameters)}) -> Returned:"
    body = f"return {'await ' if awaits else ''}act({source}, {{{given}}})"
    made: dict[str, Any] = {}
    exec(compile(f"{head} {body}", f"<{name}>", "exec", dont_inherit=True), scope, made)
    return made[name]


def _change(value: Any) -> None:
    """Change an argument in place: nobody else must see it."""
    if isinstance(value, list):
        value.append("changed")
    elif isinstance(value, Wish):
        value.text += "!"
    elif isinstance(value, Inner):
        value.number += 1
