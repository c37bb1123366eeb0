"""Random operations on any schema: valid documents, and variables that fit them or do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

Leaf = Callable[[Random, str], Any]
"""Returns a JSON value for a scalar, by its name."""

WRONG = ["", "x", -1, 2**31, 1.5, True, None, [], {}, ["x"], {"unknown": 1}, "\ud800"]


@dataclass(frozen=True, slots=True)
class Written:
    """A document with one operation, and the types of its variables."""

    text: str
    variables: dict[str, GraphQLInputType]
    defaulted: frozenset[str]


@dataclass(slots=True)
class Writer:
    """Writes documents for a schema. `avoid` are fields never asked for, as `Type.field`."""

    schema: GraphQLSchema
    random: Random
    leaf: Leaf
    avoid: Collection[str] = ()
    only: Collection[str] = ()
    depth: int = 4
    _variables: dict[str, GraphQLInputType] = field(default_factory=dict)
    _defaults: dict[str, str] = field(default_factory=dict)
    _fragments: list[str] = field(default_factory=list)
    _left: int = 0

    def write(self, kind: str, root: GraphQLObjectType) -> Written:
        """Return an operation of some thirty fields at most."""
        self._variables, self._defaults, self._fragments, self._left = {}, {}, [], 30
        selected = self._selections(root, 0)
        definitions = [
            f"${name}: {of}" + (f" = {self._defaults[name]}" if name in self._defaults else "")
            for name, of in self._variables.items()
        ]
        head = f"{kind} Case" + (f"({', '.join(definitions)})" if definitions else "")
        text = "\n".join([f"{head} {selected}", *self._fragments])
        return Written(text, dict(self._variables), frozenset(self._defaults))

    def values(self, written: Written, *, wrong: bool = False) -> dict[str, Any]:
        """Return values for the variables; where `wrong`, one of them may not fit."""
        given = {}
        for name, of in written.variables.items():
            optional = not isinstance(of, GraphQLNonNull) or name in written.defaulted
            if optional and self.random.random() < 0.3:
                continue
            given[name] = self.json(of)
        if wrong and written.variables:
            name = self.random.choice(sorted(written.variables))
            given[name] = self._spoilt(given.get(name))
        return given

    def json(self, of: GraphQLInputType, depth: int = 0) -> Any:
        """Return a JSON value of a type."""
        chance = self.random.random()
        if isinstance(of, GraphQLNonNull):
            return self._json(of.of_type, depth)
        return None if chance < 0.15 or depth > 4 else self._json(of, depth)

    def _json(self, of: Any, depth: int) -> Any:
        if isinstance(of, GraphQLList):
            if self.random.random() < 0.1:
                return self.json(of.of_type, depth + 1)
            return [self.json(of.of_type, depth + 1) for _ in range(self.random.randrange(3))]
        if isinstance(of, GraphQLInputObjectType):
            return self._object(of, depth)
        if isinstance(of, GraphQLEnumType):
            return self.random.choice(list(of.values))
        return self.leaf(self.random, of.name)

    def _object(self, of: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        definition: Any = of.extensions.get("strawberry-definition")
        if getattr(definition, "is_one_of", False):
            name = self.random.choice(list(of.fields))
            return {name: self._json(of.fields[name].type, depth + 1)}
        chosen = [
            name for name, each in of.fields.items() if is_required_input_field(each) or self.random.random() < 0.4
        ]
        self.random.shuffle(chosen)
        return {name: self.json(of.fields[name].type, depth + 1) for name in chosen}

    def _spoilt(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self.random.random() < 0.7:
            key = self.random.choice(sorted(value))
            if self.random.random() < 0.3:
                return {name: each for name, each in value.items() if name != key}
            return {**value, key: self._spoilt(value[key])}
        return self.random.choice(WRONG)

    def _selections(self, parent: GraphQLNamedType, depth: int) -> str:
        parts = [self._selection(parent, depth) for _ in range(self.random.randint(1, 5))]
        found = [part for part in parts if part]
        return "{ " + " ".join(found or ["__typename"]) + " }"

    def _selection(self, parent: Any, depth: int) -> str:
        chance = self.random.random()
        if chance < 0.08:
            return f"{self._alias()}__typename{self._directives()}"
        if (chance < 0.3 and depth) or isinstance(parent, GraphQLUnionType):
            return self._fragment(parent, depth)
        names = [
            name
            for name, each in parent.fields.items()
            if f"{parent.name}.{name}" not in self.avoid
            and (depth or not self.only or name in self.only)
            and (depth < self.depth or is_leaf_type(get_named_type(each.type)))
        ]
        if not names or self._left <= 0:
            return ""
        self._left -= 1
        name = self.random.choice(names)
        definition: GraphQLField = parent.fields[name]
        below = get_named_type(definition.type)
        text = f"{self._alias()}{name}{self._arguments(definition)}{self._directives()}"
        return f"{text} {self._selections(below, depth + 1)}" if is_composite_type(below) else text

    def _fragment(self, parent: Any, depth: int) -> str:
        within: list[Any] = [parent]
        if is_abstract_type(parent):
            within.extend(self.schema.get_possible_types(parent))
        on = self.random.choice(within)
        if depth > self.depth + 2:
            return ""
        selected = self._selections(on, depth + 1)
        if self.random.random() < 0.3:
            name = f"F{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {on.name} {selected}")
            return f"...{name}{self._directives()}"
        condition = "" if on is parent and self.random.random() < 0.3 else f" on {on.name}"
        return f"...{condition}{self._directives()} {selected}"

    def _alias(self) -> str:
        return f"a{self.random.randrange(4)}: " if self.random.random() < 0.25 else ""

    def _directives(self) -> str:
        if self.random.random() > 0.12:
            return ""
        of = GraphQLNonNull(self.schema.type_map["Boolean"])  # type: ignore[type-var]
        value = self._variable(of) if self.random.random() < 0.6 else self.random.choice(["true", "false"])
        return f" @{self.random.choice(['skip', 'include'])}(if: {value})"

    def _arguments(self, definition: GraphQLField) -> str:
        given = [
            f"{name}: {self._argument(each)}"
            for name, each in definition.args.items()
            if is_required_argument(each) or self.random.random() < 0.6
        ]
        return f"({', '.join(given)})" if given else ""

    def _argument(self, argument: GraphQLArgument) -> str:
        if self.random.random() < 0.65:
            of: Any
            of, has_default = argument.type, argument.default_value is not Undefined
            nullable = has_default and isinstance(of, GraphQLNonNull) and self.random.random() < 0.5
            return self._variable(of.of_type if nullable else of)
        return self._literal(argument.type, self.json(argument.type))

    def _variable(self, of: Any) -> str:
        same = [name for name, each in self._variables.items() if each == of or str(each) == str(of)]
        if same and self.random.random() < 0.4:
            return f"${self.random.choice(same)}"
        name = f"v{len(self._variables)}"
        self._variables[name] = of
        if self.random.random() < 0.2:
            self._defaults[name] = self._literal(of, self.json(of), variables=False)
        return f"${name}"

    def _literal(self, of: Any, value: Any, *, variables: bool = True) -> str:
        if isinstance(of, GraphQLNonNull):
            return self._literal(of.of_type, value, variables=variables)
        if value is None:
            return "null"
        if isinstance(of, GraphQLList):
            if not isinstance(value, list):
                return self._literal(of.of_type, value, variables=variables)
            return "[" + ", ".join(self._part(of.of_type, each, variables) for each in value) + "]"
        if isinstance(of, GraphQLInputObjectType):
            parts = [f"{key}: {self._part(of.fields[key].type, each, variables)}" for key, each in value.items()]
            return "{" + ", ".join(parts) + "}"
        if isinstance(of, GraphQLEnumType):
            return str(value)
        return _plain(value)

    def _part(self, of: Any, value: Any, variables: bool) -> str:
        if variables and self.random.random() < 0.2:
            return self._variable(of)
        return self._literal(of, value, variables=variables)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return json.dumps(value)
