"""Returns facts of the mapping about classes and their attributes. The functions here decide nothing."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Join,
    Select,
    SelectBase,
    Table,
    inspect,
    literal_column,
    select,
)
from sqlalchemy.exc import CompileError, NoInspectionAvailable
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
from sqlalchemy.orm.exc import UnmappedClassError, UnmappedColumnError
from sqlalchemy.sql.elements import Null
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from loadplan.mapped.cardinality import Cardinality
from loadplan.mapped.elements import element_of
from loadplan.sqlalchemy_internals import attribute_behind

#: ``lazy=`` settings whose attribute is a query, never a loaded value.
UNLOADABLE_LAZY = frozenset({"dynamic", "write_only"})

#: ``lazy=`` settings that load the relationship with every query of the parent.
EAGER_LAZY = frozenset({"joined", "subquery", "selectin", "immediate", False, "joined_inner"})


def mapper_of(entity: object) -> Mapper[Any] | None:
    """Return the mapper of a mapped class; None for any other value, also for an alias or an instance."""
    if not isinstance(entity, type):
        return None
    try:
        inspected: object = inspect(entity)
    except (NoInspectionAvailable, UnmappedClassError):
        return None
    return inspected if isinstance(inspected, Mapper) else None


def still_to_be_mapped(entity: object) -> str | None:
    """Return SQLAlchemy's message for a class that gets its mapping later; None for any other value.

    ``AbstractConcreteBase`` waits for its subclasses, and ``DeferredReflection`` for its ``prepare()``.
    """
    if isinstance(entity, type):
        try:
            inspect(entity)
        except UnmappedClassError as error:
            return " ".join(str(error).split())
        except NoInspectionAvailable:
            return None
    return None


def owner_of(attribute: object) -> Mapper[Any] | None:
    """Return the mapper of the class that an attribute belongs to; None for any other value.

    If the class has been mapped again since, the result is its present mapper.
    """
    then = getattr(getattr(attribute, "parent", None), "mapper", None)
    return None if then is None else mapper_of(then.class_) or then


def relationship(mapper: Mapper[Any], key: str) -> RelationshipProperty[Any] | None:
    """Return the relationship with a name, or the relationship that a synonym names; None for other names."""
    synonym = mapper.synonyms.get(key)
    return mapper.relationships.get(synonym.name if synonym is not None else key)


def target_entity(mapper: Mapper[Any], key: str) -> Any:
    """Return the entity that a relationship selects: its target class, or the alias that the mapping names."""
    return mapper.relationships[key].entity.entity


def tables_of(mapper: Mapper[Any]) -> set[Any]:
    """Return the tables that columns of a class may come from, and the joins or subqueries that it is mapped to."""
    return {mapper.local_table, mapper.persist_selectable, mapper.selectable, *mapper.tables}


def tables_at(entity: Any) -> set[Any]:
    """Return the tables of a class, or of an alias of a class; see :func:`tables_of`."""
    inspected: Any = inspect(entity)
    if inspected.is_aliased_class:
        return {inspected.selectable, *tables_in(inspected.selectable)}
    return tables_of(inspected.mapper)


def tables_in(selectable: Any) -> set[Any]:
    """Return the tables within a join. For any other selectable, return the selectable itself."""
    if isinstance(selectable, Join):
        return tables_in(selectable.left) | tables_in(selectable.right)
    return {selectable}


def tables_of_subqueries(expression: Any) -> set[Any]:
    """Return the tables that the subqueries in an expression select from."""
    selects = (each for each in iterate(expression) if isinstance(each, Select))
    return {table for each in selects for found in each.get_final_froms() for table in tables_in(found)}


def mappers_below(base: type[Any]) -> Iterator[Mapper[Any]]:
    """Yield the mappers of the subclasses of a class that need not be mapped: a declarative base or a mixin."""
    for sub in base.__subclasses__():
        if (mapper := mapper_of(sub)) is not None:
            yield mapper
        yield from mappers_below(sub)


def mapped_again(mapper: Mapper[Any], key: str, *, ordered: bool = True) -> Iterator[Mapper[Any]]:
    """Yield the nearest subclasses that map a relationship of a class again, to other rows or in another order.

    Args:
        mapper: the mapper of the class.
        key: the name of the relationship.
        ordered: whether a different order counts, too.
    """
    prop = mapper.relationships[key]
    found: set[Mapper[Any]] = set()
    for sub in mapper.self_and_descendants:  # classes come before their subclasses
        own = sub.relationships.get(key)
        if own is None or own.parent is not sub or sub is mapper or not found.isdisjoint(sub.iterate_to_root()):
            continue
        if not _is_alike(own, prop, ordered=ordered):
            found.add(sub)
            yield sub


def _is_alike(one: RelationshipProperty[Any], other: RelationshipProperty[Any], *, ordered: bool) -> bool:
    """Tell whether two relationships lead to the same rows, in the same order if that matters."""
    ours, theirs = (
        [primaryjoin, each.secondaryjoin, *((each.order_by or ()) if ordered else ())]
        for each, primaryjoin in zip((one, other), _joins_of(one, other), strict=True)
    )
    return (
        one.mapper is other.mapper
        and one.entity is other.entity
        and one.uselist == other.uselist
        and one.secondary is other.secondary
        and len(ours) == len(theirs)
        and all(_is_same(a, b) for a, b in zip(ours, theirs, strict=True))
    )


class _Text(NamedTuple):
    """A join as text, and the values that it binds."""

    text: str
    values: Any


def _joins_of(one: RelationshipProperty[Any], other: RelationshipProperty[Any]) -> tuple[Any, Any]:
    """Return the primary joins of two relationships, so that they can be compared.

    Every concrete class has a separate table, so it maps all its relationships itself. These joins become texts, in
    which the names of attributes stand for the parents' columns.
    """
    if not one.parent.concrete:
        return one.primaryjoin, other.primaryjoin
    return _as_text(one), _as_text(other)


def _as_text(prop: RelationshipProperty[Any]) -> _Text:
    own = prop.local_columns - prop.remote_side

    def name(element: Any, **_: Any) -> Any:
        key = attribute_of(prop.parent, element) if element in own else None
        return None if key is None else literal_column(key)

    try:
        compiled = replacement_traverse(prop.primaryjoin, {}, name).compile()
    except CompileError:  # the join contains a construct of one database
        return _Text(prop.key, prop.parent)
    return _Text(str(compiled), compiled.params)


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two parts of relationships are the same expression, or both None."""
    if one is None or other is None:
        return one is other
    if isinstance(one, _Text):
        return bool(one == other)
    try:
        return bool(one.compare(other))
    except AttributeError:  # SQLAlchemy raises it for functions of columns, if these are of different classes
        return False


def property_of(entity: type[Any], key: str) -> RelationshipProperty[Any]:
    """Return the relationship of a class with a name. It must exist."""
    mapper: Mapper[Any] = class_mapper(entity)
    return mapper.relationships[key]


def column_attributes(mapper: Mapper[Any]) -> Iterator[ColumnProperty[Any]]:
    """Yield the attributes that load as a column: columns and ``column_property``, without ``query_expression``."""
    for prop in mapper.column_attrs:
        flags = dict(prop.strategy_key)
        if flags.get("instrument", True) and "query_expression" not in flags:
            yield prop


def default_expressions(mapper: Mapper[Any]) -> Iterator[ColumnProperty[Any]]:
    """Yield each ``query_expression`` with a default expression. SQLAlchemy always loads it, and no plan names it."""
    for prop in mapper.column_attrs:
        if has_default_expression(prop):
            yield prop


def has_default_expression(prop: object) -> bool:
    """Tell whether an attribute is a ``query_expression`` with a default expression."""
    if not isinstance(prop, ColumnProperty) or "query_expression" not in dict(prop.strategy_key):
        return False
    expression = prop.columns[0]
    return not isinstance(getattr(expression, "element", expression), Null)


def default_columns(mapper: Mapper[Any]) -> frozenset[str]:
    """Return the names of the columns that the mapping loads by default: all except the ``deferred`` ones."""
    return frozenset(prop.key for prop in column_attributes(mapper) if not prop.deferred)


def required_columns(mapper: Mapper[Any]) -> frozenset[str]:
    """Return the names of the columns that every plan loads.

    They are the primary key, the discriminator, which decides the class of each row, and the version counter, which a
    flush of a change needs.
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
    """Return the name of the attribute that maps ``column``, or None if it is not mapped."""
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None


def primary_key(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the names of the primary key's attributes, in the order of the identity."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def key_attributes(entity: Any) -> list[Any]:
    """Return the attributes of the primary key of a class or an alias, in the order of the identity."""
    return [getattr(entity, name) for name in primary_key(mapper_behind(entity))]


def unhashable_key(mapper: Mapper[Any]) -> ColumnElement[Any] | None:
    """Return a column of the primary key whose values cannot be hashed, such as dictionaries and lists, or None."""
    return next((column for column in mapper.primary_key if not column.type.hashable), None)


def free_prefix(mapper: Mapper[Any]) -> str:
    """Return a prefix for labels. No column of the class has a name that begins with it."""
    prefix = "loadplan_"
    while any(column.key.startswith(prefix) for column in mapper.columns):
        prefix = f"_{prefix}"
    return prefix


def identity_of(entity: object) -> tuple[Any, ...]:
    """Return the primary key of a loaded object."""
    identity = instance_state(entity).identity
    assert identity is not None  # noqa: S101 - it was loaded from a row
    return identity


def may_be_null(mapper: Mapper[Any], name: str) -> bool:
    """Tell whether a column may hold NULL by its mapping. If it is not a plain column, the answer is False."""
    prop = mapper.attrs[name]
    assert isinstance(prop, ColumnProperty)  # noqa: S101 - the callers asked for columns
    columns: list[Any] = list(prop.columns)
    return all(bool(getattr(column, "nullable", False)) for column in columns)


def column_name(mapper: Mapper[Any], name: str) -> str:
    """Return ``table.column`` of a column attribute."""
    prop: Any = mapper.attrs[name]
    column = prop.columns[0]
    return f"{column.table.name}.{column.name}"


def composite_maker(prop: CompositeProperty[Any]) -> Callable[..., Any]:
    """Return a function that makes a composite's value from its columns.

    The result is None for all NULLs if the mapping asks for that.
    """
    make: Any = prop.composite_class
    none_on = getattr(prop, "return_none_on", None)  # since SQLAlchemy 2.1
    if not callable(none_on):
        return make  # type: ignore[no-any-return]
    return lambda *values: None if none_on(*values) else make(*values)


def columns_behind(mapper: Mapper[Any], key: str) -> tuple[str, ...] | None:
    """Return the column attributes that an attribute is made of; None if it is not made of columns.

    For a column, they are the column itself; for a composite, its parts; for a synonym, the columns of the attribute
    that it names.
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
    """Return the kind of an attribute in words, for a sentence: ``a column``, ``a hybrid property``."""
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
    """Return the cardinality of a relationship, as the mapping declares it."""
    if prop.uselist:
        many = prop.direction is RelationshipDirection.MANYTOMANY
        return Cardinality.MANY_TO_MANY if many else Cardinality.ONE_TO_MANY
    if prop.direction is RelationshipDirection.ONETOMANY:
        return Cardinality.ONE_TO_ONE
    reverse = reverse_of(prop)
    one_to_one = reverse is not None and not reverse.uselist
    return Cardinality.ONE_TO_ONE if one_to_one else Cardinality.MANY_TO_ONE


def ordered_by_another_table(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether the ``order_by`` of a relationship's mapping reads a table that its own statement does not have."""
    own = tables_at(prop.entity) | (set() if prop.secondary is None else tables_in(prop.secondary))
    read = (each for order in prop.order_by or () for each in iterate(order))
    return any(isinstance(each, Column) and each.table is not None and each.table not in own for each in read)


def reverse_of(prop: RelationshipProperty[Any]) -> RelationshipProperty[Any] | None:
    """Return the relationship at the far end that ``back_populates`` or ``backref`` ties to this one."""
    return prop.mapper.relationships.get(prop.back_populates) if prop.back_populates else None


def as_seen_from(mapper: Mapper[Any], expression: Any, *, subclasses: bool = False, bases: bool = False) -> Any:
    """Return an expression that names columns of the class itself, not of base classes or of a union's tables.

    Args:
        mapper: the mapper of the class.
        expression: a condition, an order or a value of rows of the class.
        subclasses: whether subqueries read the columns of joined subclasses. For rows of other classes, they give NULL.
        bases: whether columns of all base classes become columns of the class. SQLAlchemy needs this in the condition
            of a joined loader option.

    A base class that is mapped ``with_polymorphic="*"`` stands for a join with its subclasses. ``Node.name`` in a
    statement about files would add this join to it. ``File.name`` is the same column without the join.
    """
    over = [each for each in mapper.iterate_to_root() if each is not mapper]
    above = {each.class_ for each in over if bases or each.with_polymorphic_mappers}
    tables = set[Any]() if isinstance(mapper.selectable, Table | Join) else {*mapper.tables, mapper.selectable}
    joined = {} if not subclasses else _joined_subclasses(mapper)
    if not (above or tables or joined):
        return expression
    plain = element_of(expression)

    def own(element: Any, **_: Any) -> Any:
        if isinstance(element, SelectBase):  # a subquery has its own rows
            return element
        behind, name = attribute_behind(element), None
        if behind is not None and (sub := joined.get(behind[0])) is not None:
            return _read_of_subclass(mapper, sub, behind[1])
        if behind is not None and behind[0] in above and behind[1] in mapper.column_attrs:
            name = behind[1]
        elif behind is None and isinstance(element, Column) and element.table in tables:
            name = attribute_of(mapper, element) or _attribute_of_union(mapper, element)
        return None if name is None else getattr(mapper.class_, name).__clause_element__()

    return replacement_traverse(plain, {}, own) if isinstance(plain, ClauseElement) else expression


def _attribute_of_union(mapper: Mapper[Any], column: Column[Any]) -> str | None:
    """Return the name of the attribute that reads a column of the union that a class is mapped to, or None."""
    read = mapper.selectable.corresponding_column
    plain = (prop for prop in mapper.column_attrs if isinstance(prop.columns[0], Column))
    return next((prop.key for prop in plain if read(prop.columns[0]) is column), None)


def _joined_subclasses(mapper: Mapper[Any]) -> dict[type[Any], Mapper[Any]]:
    return {
        sub.class_: sub
        for sub in mapper.self_and_descendants
        if sub is not mapper and not sub.concrete and isinstance(sub.local_table, Table)
    }


def _read_of_subclass(mapper: Mapper[Any], sub: Mapper[Any], name: str) -> Any:
    """Return a subquery that reads a column of a joined subclass's table for a row of the class, or None."""
    prop = sub.attrs.get(name)
    column: Any = prop.columns[0] if isinstance(prop, ColumnProperty) else None
    table: Any = getattr(column, "table", None)
    owner = next((each for each in sub.iterate_to_root() if each.local_table is table), None)
    if column is None or owner is None or table in mapper.tables or len(table.primary_key) != len(mapper.primary_key):
        return None
    ours = key_attributes(mapper.class_)
    met = (one == other for one, other in zip(table.primary_key, ours, strict=True))
    return select(column).where(*met).correlate_except(table).scalar_subquery()


def mapper_behind(entity: Any) -> Mapper[Any]:
    """Return the mapper of a mapped class or of an alias of one."""
    mapper: Mapper[Any] = inspect(entity).mapper
    return mapper


def subclass_eager_relationships(mapper: Mapper[Any]) -> Iterator[QueryableAttribute[Any]]:
    """Yield relationships of subclasses that SQLAlchemy loads by itself, with each row of these subclasses.

    ``raiseload("*")`` does not stop it for a class that is mapped with ``polymorphic_load="selectin"``. An option that
    names each relationship does.
    """
    for sub in mapper.self_and_descendants:
        if sub is not mapper and sub.polymorphic_load == "selectin":
            for prop in sub.relationships:
                if prop.parent is sub and prop.lazy in EAGER_LAZY:
                    yield getattr(sub.class_, prop.key)


def columns_in_row(sub: Mapper[Any], base: Mapper[Any], keys: frozenset[str]) -> dict[str, ColumnElement[Any]] | None:
    """Return columns of a subclass as they are in rows of its base, or None if these rows lack one of the columns.

    With single-table inheritance, rows of the base have all columns of the subclass. They also have the columns that
    ``with_polymorphic`` of the mapping joins to the base, and the columns of a polymorphic union.
    """
    found: dict[str, ColumnElement[Any]] = {}
    for prop in column_attributes(sub):
        if prop.key not in keys:
            continue
        expression = prop.columns[0]
        if isinstance(expression, Column):
            column = base.selectable.corresponding_column(expression)
            if column is None:
                return None
            found[prop.key] = column
        elif sub.local_table in tables_in(base.selectable):
            found[prop.key] = expression
        else:
            return None
    return found


def is_read_elsewhere(mapper: Mapper[Any]) -> bool:
    """Tell whether rows of a class come from a union or a join that ``with_polymorphic`` names, not from its tables."""
    return mapper.selectable is not mapper.persist_selectable


def polymorphic_loads(mapper: Mapper[Any]) -> list[Mapper[Any]]:
    """Return the subclasses whose columns the mapping loads together with rows of the class."""
    by_base = set(mapper.with_polymorphic_mappers)
    return [
        sub
        for sub in mapper.self_and_descendants
        if sub is not mapper and (sub in by_base or sub.polymorphic_load in {"selectin", "inline"})
    ]


def why_not_joined(mapper: Mapper[Any]) -> str | None:
    """Return the reason why a join from a class would miss some of its rows, or None if it would not."""
    if any(sub.concrete for sub in mapper.self_and_descendants if sub is not mapper):
        return "its subclasses are concrete, and a join reaches only the rows of the base"
    return None
