"""The random mappings draw all that SQLAlchemy has, or there is a reason why not."""

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import attrs
from generated_mappings import Builder
from generated_schemas import (
    ANY_ARGUMENTS,
    COLLECTION_ARGUMENTS,
    INHERITED_ARGUMENTS,
    OWN_COLLECTIONS,
    ROOT_ARGUMENTS,
    SUBCLASS_ARGUMENTS,
    TELLING_ROOT_ARGUMENTS,
    TO_ONE_ARGUMENTS,
    Association,
    Column,
    End,
    Entity,
    Reference,
    Schema,
)
from generated_types import KEY_KINDS, KINDS, NOT_IN_TABLES
from sqlalchemy import types
from sqlalchemy.orm import Mapper, relationship

#: Arguments of ``relationship()`` that are not drawn.
NOT_OF_RELATIONSHIPS = {"kw": "further names; 'doc' is one, and drawn"}

#: Arguments of mappers that are not drawn.
NOT_OF_MAPPERS = {
    "class_": "declarative gives it",
    "local_table": "declarative gives it",
    "properties": "declarative gives it",
    "inherits": "declarative gives it",
    "non_primary": "SQLAlchemy 2.0 refuses it, and 2.1 does not have it",
    "column_prefix": "names attributes, and declarative names them here; tests/mappings/test_rare_mappings.py has it",
    "_polymorphic_map": "SQLAlchemy's own",
    "_compiled_cache_size": "SQLAlchemy's own",
}

COLUMNS = (Column("rank", "integer", False), Column("label", "text", False))
ENTITIES = (
    Entity("A", ("integer",), COLUMNS, "joined"),
    Entity("A1", ("integer",), (Column("a1_rank", "integer", False),), "joined", "A"),
    Entity("B", ("integer",), COLUMNS),
    Entity("B1", ("integer",), COLUMNS, concrete_of="B"),
)


def schema_with(words: tuple[str, ...], *, dataclasses: bool = False, **changes: Any) -> Schema:
    """Return a schema whose relationships have some arguments: to-ones, collections, and pairs."""
    there = End("there", "A", "B", "many-to-one", "select", opposite="back", arguments=words)
    back = End("back", "B", "A", "one-to-many", "select", opposite="there", arguments=words, **changes)
    pairs = End("pairs", "A", "B", "many-to-many", "select", arguments=words, **changes)
    flags = {
        "nullable": True,
        "unique": False,
        "promised": False,
        "constrained": False,
        "loose": True,
        "deferred": False,
        "apart": False,
    }
    reference = Reference("r", "A", "B", ("r_id",), ("integer",), **flags, forward=there, backward=back)
    association = Association(
        "m",
        "A",
        "B",
        ("integer",),
        ("integer",),
        unique=True,
        constrained=False,
        apart=False,
        forward=pairs,
        backward=None,
    )
    return Schema(ENTITIES, (reference,), (association,), dataclasses)


def test_every_argument_of_relationships() -> None:
    """A new argument of SQLAlchemy's is drawn, or the reason why not is written down."""
    words = dict.fromkeys((*ANY_ARGUMENTS, *TO_ONE_ARGUMENTS, *COLLECTION_ARGUMENTS, *OWN_COLLECTIONS))
    schemas = [schema_with((word,)) for word in words]
    for change in ({"ordered": True}, {"as_set": True}, {"viewonly": True}):
        schemas += [schema_with((), **change), schema_with((), dataclasses=True, **change)]
    drawn: set[str] = set()
    for schema in schemas:
        with built(schema) as builder:
            drawn |= {name for end in schema.all_ends() for name in builder.arguments_of(end)}
    known = {*inspect.signature(relationship).parameters}
    assert known - drawn == NOT_OF_RELATIONSHIPS.keys()
    assert drawn - known == {"doc"}


@contextlib.contextmanager
def built(schema: Schema) -> Iterator[Builder]:
    """Map a schema for the block."""
    builder = Builder(schema, "drawn", plain=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            builder.build()
        yield builder
    finally:
        builder.base.registry.dispose()


def test_every_argument_of_mappers() -> None:
    """The same of ``__mapper_args__``."""
    a, a1, b, b1 = ENTITIES
    roots = dict.fromkeys((*ROOT_ARGUMENTS, *TELLING_ROOT_ARGUMENTS, *INHERITED_ARGUMENTS))
    entities = [(attrs.evolve(a, arguments=(word,)), a1, b, b1) for word in roots]
    entities += [(a, attrs.evolve(a1, arguments=(word,)), b, b1) for word in SUBCLASS_ARGUMENTS]
    entities.append((a, attrs.evolve(a1, abstract=True), b, b1))
    drawn: set[str] = set()
    for each in entities:
        with built(Schema(each, (), ())) as builder:
            for one in each:
                drawn |= builder.attributes(one)["__mapper_args__"].keys()
    known = {*inspect.signature(Mapper).parameters}
    assert known - drawn == NOT_OF_MAPPERS.keys() & known
    assert drawn <= known


def test_every_type() -> None:
    """Each class of ``sqlalchemy.types`` is the type of a column on SQLite or PostgreSQL."""
    made = [kind.make() for name, kind in KINDS.items() if not name.startswith("decorated")]
    made += [variant for each in made for variant in each._variant_mapping.values()]
    drawn = {type(each) for each in made}
    known = {each for each in vars(types).values() if isinstance(each, type) and issubclass(each, types.TypeEngine)}
    missing = {each.__name__ for each in known - drawn if not each.__name__.startswith("_")}
    assert missing == NOT_IN_TABLES.keys()


def test_decorated_types_on_both_sides_of_each_key() -> None:
    """A plain column may refer to a decorated key, and a decorated one to a plain key."""
    for name, kind in KEY_KINDS.items():
        other = name.removeprefix("decorated ") if name.startswith("decorated ") else f"decorated {name}"
        assert other in kind.alike
        for each in (*kind.alike, *kind.elsewhere):
            assert each in KINDS
        assert isinstance(kind.make(), types.TypeDecorator) or not name.startswith("decorated")
