"""The rows at the end of a relationship, each with the key of its parent. Every statement by keys starts from them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import attrs
from sqlalchemy import ColumnElement, Dialect, Select, select
from sqlalchemy.orm import Mapper, RelationshipProperty, aliased
from sqlalchemy.sql.visitors import iterate

from loadplan.mapped import links, mapping
from loadplan.mapped.indexes import LearnedIndexes
from loadplan.mapped.links import Link, LinkKind, Served
from loadplan.mapped.ordering import Ordering, with_tie_breaker
from loadplan.mapped.repeats import is_object
from loadplan.resolved.nodes import Shape
from loadplan.statements.keys import Keys

#: A select of any columns. SQLAlchemy 2.0 and 2.1 spell that type differently.
AnySelect: TypeAlias = Any

#: The values that a statement binds.
Parameters: TypeAlias = Mapping[str, Any]

#: Adds conditions, order and limits to a statement of roots.
Narrowing: TypeAlias = Callable[[AnySelect], AnySelect]

#: Databases that compare text exactly, so that Python can match text keys.
_EXACT_TEXT = frozenset({"postgresql", "sqlite"})


@attrs.frozen(eq=False)
class Linked:
    """Targets and their parents' keys.

    Attributes:
        link: the columns that connect targets and parents.
        target: the class that is selected, or the alias in the mapping.
        columns: the columns with the keys of the parents.
        statement: the statement for target and columns, for all parents.
    """

    link: Link
    target: Any
    columns: tuple[ColumnElement[Any], ...]
    statement: AnySelect


def link_on(prop: RelationshipProperty[Any], parent: Mapper[Any], dialect: Dialect) -> Link:
    """Return the shortest link that holds on a database."""
    link = links.link(prop, parent)
    if link.compares_text and dialect.name not in _EXACT_TEXT:
        return links.link_by_join(parent)
    return link


def linked(prop: RelationshipProperty[Any], parent: Mapper[Any], link: Link) -> Linked:
    """Return the statement of the targets of parents of a class, with the parents' keys.

    A row whose whole key is NULL is not a target. The target is selected directly, never through an alias, because
    ``with_loader_criteria`` ignores aliases.
    """
    found = _linked(prop, parent, link)
    solid = is_object(prop.mapper)
    if solid is None or found.target is not prop.mapper.class_:
        return found
    return attrs.evolve(found, statement=found.statement.where(solid))


def _linked(prop: RelationshipProperty[Any], parent: Mapper[Any], link: Link) -> Linked:
    target = mapping.target_entity(parent, prop.key)
    if link.kind is LinkKind.TARGET:
        columns = tuple(_mapped(prop.mapper, column) for column in link.columns)
        return Linked(link, target, columns, select(target, *columns))
    if link.kind is LinkKind.SECONDARY:
        secondary: Any = prop.secondary
        statement = select(target, *link.columns).select_from(secondary)
        if prop.mapper.local_table in mapping.tables_in(secondary):  # a join that contains the target's own table
            statement = statement.where(cast("ColumnElement[bool]", prop.secondaryjoin))
        else:
            statement = statement.join(target, prop.secondaryjoin)
        return Linked(link, target, link.columns, statement)
    alias = aliased(parent.class_)
    columns = tuple(getattr(alias, name) for name in link.attributes)
    through = getattr(alias, prop.key)
    if prop.entity.is_aliased_class:
        through = through.of_type(target)
    # write the condition as a WHERE: a primaryjoin may use a third table, which a JOIN would not include
    return Linked(link, target, columns, select(target, *columns).where(through.__clause_element__()))


def _mapped(mapper: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    name = mapping.attribute_of(mapper, column)
    attribute: ColumnElement[Any] = column if name is None else getattr(mapper.class_, name)
    return attribute


def collection_order(prop: RelationshipProperty[Any], shape: Shape, target: Any) -> list[Ordering]:
    """Return the declared or mapped order of a collection, with its primary key; none if it has no order."""
    given = shape.order_by if shape.order_by is not None else (prop.order_by or ())
    return with_tie_breaker(given, target)


def why_no_lateral(
    link: Link,
    keys: Keys,
    where: Sequence[Any],
    order: Sequence[Ordering],
    dialect: Dialect,
    learned: LearnedIndexes,
) -> str | None:
    """Return why numbering is better than LATERAL for the first rows of each parent, or None.

    LATERAL reads an index once for each parent and stops after ``limit`` rows. It needs an index that has the parent's
    key and then the order. Without one, it reads all rows of each parent, and numbering them costs no more.

    Args:
        link: the columns that connect targets and parents.
        keys: the keys of the parents.
        where: conditions on the targets.
        order: the order of the targets.
        dialect: only PostgreSQL has LATERAL over arrays.
        learned: indexes that the database has and the mapping does not.
    """
    if not keys.as_arrays:
        return f"{dialect.name} has no LATERAL over arrays"
    if any(isinstance(part, Select) for each in where for part in iterate(each)):
        # SQLAlchemy warns of a cartesian product if an EXISTS is inside of a LATERAL
        return "a condition asks a subquery"
    if link.kind is LinkKind.SECONDARY:
        return "key and order are in two tables, which no index spans"
    if link.repeats or _served(keys, order, learned) is None:
        return "no index on the key and the order"
    return None


def why_lateral(keys: Keys, order: Sequence[Ordering], learned: LearnedIndexes) -> str:
    """Return the text of explain if there is no such reason."""
    why = "LATERAL: an index on the key and the order stops after the first rows of each parent"
    if _served(keys, order, learned) is Served.BY_DATABASE:
        why += f"; it is {Served.BY_DATABASE.value}"
    return why


def _served(keys: Keys, order: Sequence[Ordering], learned: LearnedIndexes) -> Served | None:
    return links.served_by(keys.columns, [each.expression for each in order], learned)
