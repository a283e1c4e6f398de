"""What the mapping says: the only reader of ``inspect(Model)``. Facts out, no decisions."""

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any, cast

import attrs
from sqlalchemy import Column, ColumnElement, Join, PrimaryKeyConstraint, Table, UniqueConstraint, and_, inspect, types
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import (
    ColumnProperty,
    CompositeProperty,
    Mapper,
    QueryableAttribute,
    RelationshipDirection,
    RelationshipProperty,
    SynonymProperty,
    class_mapper,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql.visitors import iterate

from loadplan.sqlalchemy_internals import declared_arguments, keyed_by
from loadplan.tree import Cardinality

#: ``lazy=`` settings whose attribute is a handle to query with, never a loaded value.
UNLOADABLE_LAZY = frozenset({"dynamic", "write_only"})

#: ``lazy=`` settings that load by themselves whenever the parent is loaded.
EAGER_LAZY = frozenset({"joined", "subquery", "selectin", "immediate", False, "joined_inner"})


def mapper_of(entity: object) -> Mapper[Any] | None:
    """Return the mapper of a mapped class, or None for anything else (an alias or an instance too)."""
    if not isinstance(entity, type):
        return None
    try:
        inspected: object = inspect(entity)
    except NoInspectionAvailable:
        return None
    return inspected if isinstance(inspected, Mapper) else None


def can_configure(entity: object) -> bool:
    """Tell whether the mappers around ``entity`` are configured, or surely can be.

    Only reads: a configuration that fails part-way leaves mappers that never work again, so a class that is still
    to be imported must be noticed before it is tried.
    """
    mapper = mapper_of(entity)
    if mapper is None:
        return True
    mappers = list(mapper.registry.mappers)
    if all(each.configured for each in mappers):
        return True
    known = {each.class_.__name__ for each in mappers} | set(mapper.registry.metadata.tables)
    return all(
        _is_known(argument, known)
        for each in mappers
        if not each.configured
        for relationship in _unconfigured_relationships(each)
        for argument in declared_arguments(relationship)
    )


def _unconfigured_relationships(mapper: Mapper[Any]) -> Iterator[RelationshipProperty[Any]]:
    for attribute in vars(mapper.class_).values():
        if isinstance(attribute, QueryableAttribute):
            prop = getattr(attribute.comparator, "prop", None)
            if isinstance(prop, RelationshipProperty):
                yield prop


#: The first name of each dotted or bare word in ``"and_(User.id == Post.user_id)"``; what is called is a function.
_NAMES = re.compile(r"(?<![\w.'\"])([A-Za-z_]\w*)(?=\s*(?:\.|$))")


def _is_known(argument: object, known: set[str]) -> bool:
    """Tell whether what a relationship was declared with can be evaluated by now."""
    if isinstance(argument, str):
        return argument.rpartition(".")[2] in known or all(
            name in known or any(each.endswith(f".{name}") for each in known)
            for name in _NAMES.findall(argument.replace("func.", ""))
            if name != "None"
        )
    if isinstance(argument, list | tuple):
        return all(_is_known(each, known) for each in argument)
    if isinstance(argument, FunctionType | MethodType):
        try:
            argument()
        except Exception:  # a name that is still to be imported raises whatever it likes
            return False
    return True


def relationship(mapper: Mapper[Any], key: str) -> RelationshipProperty[Any] | None:
    """Return the relationship of that name, also through a synonym, or None."""
    synonym = mapper.synonyms.get(key)
    return mapper.relationships.get(synonym.name if synonym is not None else key)


def target_entity(mapper: Mapper[Any], key: str) -> Any:
    """Return what a relationship selects: its target class, or the alias that the mapping relates to."""
    return mapper.relationships[key].entity.entity


def tables_of(mapper: Mapper[Any]) -> set[Any]:
    """Return everything that columns of a class may come from."""
    return {mapper.local_table, mapper.persist_selectable, mapper.selectable, *mapper.tables}


def tables_in(selectable: Any) -> set[Any]:
    """Return the tables that a join joins, or the selectable itself."""
    if isinstance(selectable, Join):
        return tables_in(selectable.left) | tables_in(selectable.right)
    return {selectable}


def property_of(entity: type[Any], key: str) -> RelationshipProperty[Any]:
    """Return a relationship of a class that is known to have it."""
    mapper: Mapper[Any] = class_mapper(entity)
    return mapper.relationships[key]


def column_attributes(mapper: Mapper[Any]) -> Iterator[ColumnProperty[Any]]:
    """Yield what can be loaded as a column: columns and ``column_property`` expressions, no ``query_expression``."""
    for prop in mapper.column_attrs:
        flags = dict(prop.strategy_key)
        if flags.get("instrument", True) and "query_expression" not in flags:
            yield prop


def default_columns(mapper: Mapper[Any]) -> frozenset[str]:
    """Return the names of the columns that the mapping loads by itself: all that are not ``deferred``."""
    return frozenset(prop.key for prop in column_attributes(mapper) if not prop.deferred)


def required_columns(mapper: Mapper[Any]) -> frozenset[str]:
    """Return the names of the columns that no plan may leave out.

    They are the primary key, the discriminator (without it no class can be chosen) and the version counter (without
    it a change cannot be flushed).
    """
    wanted: list[ColumnElement[Any] | None] = [
        *mapper.primary_key,
        mapper.polymorphic_on,
        mapper.version_id_col,
    ]
    keys = (attribute_of(mapper, column) for column in wanted if column is not None)
    loadable = {prop.key for prop in column_attributes(mapper)}
    return frozenset(key for key in keys if key is not None and key in loadable)


def attribute_of(mapper: Mapper[Any], column: ColumnElement[Any]) -> str | None:
    """Return the name of the attribute that maps ``column``, or None where it is not mapped."""
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None


def primary_key(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the names of the primary key's attributes, in the order of the identity."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def identity_of(entity: object) -> tuple[Any, ...]:
    """Return the primary key of a loaded object."""
    identity = instance_state(entity).identity
    assert identity is not None  # noqa: S101 - it was loaded from a row
    return identity


def columns_behind(mapper: Mapper[Any], key: str) -> tuple[str, ...] | None:
    """Return the column attributes that an attribute stands for, or None where it stands for none.

    A column is itself, a composite its parts, a synonym what it is a synonym of.
    """
    prop = mapper.attrs.get(key)
    if isinstance(prop, SynonymProperty):
        return columns_behind(mapper, prop.name)
    if isinstance(prop, CompositeProperty):
        return tuple(part.key for part in prop.props)
    if isinstance(prop, ColumnProperty) and any(prop is each for each in column_attributes(mapper)):
        return (key,)
    return None


def describe_attribute(mapper: Mapper[Any], key: str) -> str:
    """Say what an attribute is, for a sentence: ``a column``, ``a hybrid property``, ``nothing mapped``."""
    prop = mapper.attrs.get(key)
    if isinstance(prop, RelationshipProperty):
        return "a relationship"
    if columns_behind(mapper, key):
        return "a composite of columns" if isinstance(prop, CompositeProperty) else "a column"
    if prop is not None:
        return "a query_expression"
    descriptor = mapper.all_orm_descriptors.get(key)
    if descriptor is None:
        return "nothing mapped"
    kind = descriptor.extension_type.name.lower().replace("_", " ")
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def cardinality(prop: RelationshipProperty[Any]) -> Cardinality:
    """Return how many rows may stand at either end, by the mapping."""
    if prop.uselist:
        many = prop.direction is RelationshipDirection.MANYTOMANY
        return Cardinality.MANY_TO_MANY if many else Cardinality.ONE_TO_MANY
    if prop.direction is RelationshipDirection.ONETOMANY:
        return Cardinality.ONE_TO_ONE
    reverse = reverse_of(prop)
    one_to_one = reverse is not None and not reverse.uselist
    return Cardinality.ONE_TO_ONE if one_to_one else Cardinality.MANY_TO_ONE


def reverse_of(prop: RelationshipProperty[Any]) -> RelationshipProperty[Any] | None:
    """Return the relationship at the far end that ``back_populates`` or ``backref`` ties to this one."""
    return prop.mapper.relationships.get(prop.back_populates) if prop.back_populates else None


def mapper_behind(entity: Any) -> Mapper[Any]:
    """Return the mapper of a mapped class or of an alias of one."""
    mapper: Mapper[Any] = inspect(entity).mapper
    return mapper


def is_one_table(mapper: Mapper[Any], columns: frozenset[str]) -> bool:
    """Tell whether a class is a plain table, and those of its attributes plain columns of it."""
    return (
        mapper.inherits is None
        and not mapper.polymorphic_map
        and isinstance(mapper.local_table, Table)
        and all(
            len(prop.columns) == 1 and prop.columns[0] in mapper.local_table.c.values()
            for prop in (mapper.column_attrs[key] for key in columns)
        )
    )


def index_serves(columns: Sequence[ColumnElement[Any]]) -> bool:
    """Tell whether the metadata has an index that starts with these columns, in that order.

    The last columns may be missing where those before are of one table: the database sorts what ties. An index that
    only the database knows of is not seen.
    """
    plain = [_table_column(column) for column in columns]
    first = plain[0]
    if first is None or any(column is None or column.table is not first.table for column in plain):
        return False
    table = first.table
    names = [column.name for column in plain if column is not None]
    keys = [[column.name for column in index.columns] for index in table.indexes if len(index.columns)]
    unique = [each for each in table.constraints if isinstance(each, PrimaryKeyConstraint | UniqueConstraint)]
    keys += [[column.name for column in each.columns] for each in unique]
    wanted = names[:-1] if len(names) > 2 else names  # the last one is the primary key that breaks ties
    return any(key[: len(wanted)] == wanted for key in keys)


def _table_column(column: Any) -> Column[Any] | None:
    element = column.__clause_element__() if hasattr(column, "__clause_element__") else column
    table = getattr(element, "table", None)
    return table.c.get(element.key) if isinstance(table, Table) else None


def is_single(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a constraint holds a parent to one target: a unique key within the far columns.

    ``uselist=False`` alone is a promise of the mapping that the rows may break.
    """
    if prop.uselist or prop.secondary is not None:
        return False
    remote = {column for _, column in _pairs(prop)}
    table = next(iter(remote)).table if remote else None
    if not isinstance(table, Table):
        return False
    keys: list[set[Any]] = [set(table.primary_key.columns)]
    keys += [set(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
    keys += [set(index.columns) for index in table.indexes if index.unique and not index.dialect_kwargs]
    return any(key and key <= remote for key in keys)


def back_reference(prop: RelationshipProperty[Any]) -> str | None:
    """Return the target's many-to-one that must point at the parent it was loaded through, if there is one.

    It must: its key columns are the very columns that the parent was found by.
    """
    reverse = reverse_of(prop)
    if (
        reverse is None
        or prop.direction is not RelationshipDirection.ONETOMANY
        or reverse.direction is not RelationshipDirection.MANYTOONE
        or reverse.uselist
        or {(remote, local) for local, remote in _pairs(prop)} != set(_pairs(reverse))
        or not (_equated_pairs(reverse) or reverse.primaryjoin.compare(prop.primaryjoin))
    ):
        return None
    return reverse.key


def subclass_eager_relationships(mapper: Mapper[Any]) -> Iterator[QueryableAttribute[Any]]:
    """Yield relationships of subclasses that would load by themselves when rows of those subclasses come.

    SQLAlchemy's wildcard against lazy loading does not reach those of a class mapped ``polymorphic_load="selectin"``;
    naming them does.
    """
    for sub in mapper.self_and_descendants:
        if sub is not mapper and sub.polymorphic_load == "selectin":
            for prop in sub.relationships:
                if prop.parent is sub and prop.lazy in EAGER_LAZY:
                    yield getattr(sub.class_, prop.key)


def why_not_joined(mapper: Mapper[Any]) -> str | None:
    """Return why joins from a class would not reach all its rows, or None if they do."""
    if any(sub.concrete for sub in mapper.self_and_descendants if sub is not mapper):
        return "its subclasses are concrete, and a join reaches the rows of the base alone"
    return None


def polymorphic_statements(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the names of subclasses mapped ``polymorphic_load="selectin"``.

    SQLAlchemy sends a statement for each one that is present among the rows; no option turns that off.
    """
    return tuple(
        sub.class_.__name__
        for sub in mapper.self_and_descendants
        if sub is not mapper and sub.polymorphic_load == "selectin"
    )


class LinkKind(enum.Enum):
    """Where the keys are that tie targets to their parents."""

    TARGET = "columns of the target"
    SECONDARY = "columns of the association table"
    PARENT = "the parent's primary key, through a join"


@attrs.frozen(eq=False)
class Link:
    """How the rows of a statement of its own find the parents they belong to.

    Attributes:
        kind: where ``columns`` are.
        attributes: names of the parent's attributes whose values ``columns`` must equal, pair by pair.
        columns: what is selected beside the target and compared with the parents' values.
        compares_text: whether a pair is text, which some databases compare without regard to case.
    """

    kind: LinkKind
    attributes: tuple[str, ...]
    columns: tuple[ColumnElement[Any], ...]
    compares_text: bool = False


def link(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> Link:
    """Return the shortest link between parents of class ``parent`` and their targets.

    Plain equality of columns needs the target's table alone, or the association table's too. Everything else (an
    expression in ``primaryjoin``, values that Python may compare otherwise than SQL) goes through a join with the
    parent and is tied by its primary key.
    """
    by_join = link_by_join(parent)
    pairs = _equated_pairs(prop)
    if pairs is None or prop.entity.is_aliased_class:
        return by_join
    attributes = tuple(attribute_of(parent, local) for local, _ in pairs)
    loadable = {each.key for each in column_attributes(parent)}
    if not all(key in loadable for key in attributes) or not all(_same_in_python(*pair) for pair in pairs):
        return by_join
    kind = LinkKind.TARGET if prop.secondary is None else LinkKind.SECONDARY
    if kind is LinkKind.TARGET and any(attribute_of(prop.mapper, remote) is None for _, remote in pairs):
        return by_join
    return Link(
        kind,
        tuple(key for key in attributes if key is not None),
        tuple(remote for _, remote in pairs),
        any(isinstance(local.type, types.String) for local, _ in pairs),
    )


def link_by_join(parent: Mapper[Any]) -> Link:
    """Return the link that always holds: a join with the parent, tied by its primary key."""
    return Link(LinkKind.PARENT, primary_key(parent), tuple(parent.primary_key))


def key_columns(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> frozenset[str]:
    """Return the parent's attributes that loading this relationship goes by."""
    keys = {attribute_of(parent, local) for local, _ in _pairs(prop)} | set(link(prop, parent).attributes)
    return frozenset(key for key in keys if key is not None)


def collection_key_columns(prop: RelationshipProperty[Any]) -> frozenset[str]:
    """Return the target's columns that a dictionary collection keys it by; all of them where that is not known."""
    target = prop.mapper
    everything = default_columns(target)
    names = keyed_by(prop)
    columns = [columns_behind(target, name) for name in names] if names is not None else [None]
    return frozenset().union(*(everything if each is None else each for each in columns))


def missing_targets(mapper: Mapper[Any]) -> list[str]:
    """Return relationships around a class whose target is named by a name that nothing has yet."""
    mappers = list(mapper.registry.mappers)
    known = {each.class_.__name__ for each in mappers}
    return [
        f"'{each.class_.__name__}.{relationship.key}' leads to '{relationship.argument}'"
        for each in mappers
        if not each.configured
        for relationship in _unconfigured_relationships(each)
        if isinstance(relationship.argument, str)
        and relationship.argument.replace(".", "_").isidentifier()
        and relationship.argument.rpartition(".")[2] not in known
    ]


def _pairs(prop: RelationshipProperty[Any]) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]]:
    return cast("list[tuple[ColumnElement[Any], ColumnElement[Any]]]", list(prop.local_remote_pairs or ()))


def _equated_pairs(
    prop: RelationshipProperty[Any],
) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]] | None:
    """Return (parent's column, far column) pairs if ``primaryjoin`` says nothing but that they are equal."""
    spoken = _columns_in(prop.primaryjoin)  # pairs of a many-to-many include those of its secondaryjoin
    pairs = [(local, remote) for local, remote in _pairs(prop) if local in spoken and remote in spoken]
    if not pairs or not prop.primaryjoin.compare(and_(*(local == remote for local, remote in pairs))):
        return None
    return pairs


def _columns_in(expression: ColumnElement[Any]) -> set[ColumnElement[Any]]:
    return {
        cast("ColumnElement[Any]", element) for element in iterate(expression) if element.__visit_name__ == "column"
    }


_EXACT = (
    types.Integer,
    types.String,
    types.Uuid,
    types.Date,
    types.DateTime,
    types.Time,
    types.Boolean,
    types.Numeric,
    types.LargeBinary,
)


def is_exact(columns: Iterable[ColumnElement[Any]]) -> bool:
    """Tell whether values of these columns are equal in SQL exactly where they are equal in Python."""
    return all(_same_in_python(column, column) for column in columns)


def _same_in_python(left: ColumnElement[Any], right: ColumnElement[Any]) -> bool:
    """Tell whether two columns are equal in SQL exactly where their Python values are equal."""
    return any(isinstance(left.type, kind) and isinstance(right.type, kind) for kind in _EXACT) and not any(
        getattr(column.type, "collation", None) or type(column.type).__name__ == "CITEXT" for column in (left, right)
    )
