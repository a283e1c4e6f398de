"""The rows at the end of a relationship, each with the key of its parent. Every statement by keys starts from them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import attrs
from sqlalchemy import ColumnElement, Dialect, select
from sqlalchemy.orm import Mapper, RelationshipProperty, aliased

from loadplan.mapped import links, mapping
from loadplan.mapped.links import Link, LinkKind
from loadplan.mapped.ordering import Ordering, with_tie_breaker
from loadplan.mapped.repeats import is_object, key_part
from loadplan.mapped.stored import is_uuid_of_text
from loadplan.mapped.telling import asked_by, teller
from loadplan.resolved.tree import Shape

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
        columns: the columns with the keys of the parents, or with values that Python compares instead of these keys.
        statement: the statement for target and columns, for all parents.
        asked: the columns that are compared with the keys of the parents.
    """

    link: Link
    target: Any
    columns: tuple[ColumnElement[Any], ...]
    statement: AnySelect
    asked: tuple[ColumnElement[Any], ...] = attrs.field(
        default=attrs.Factory(lambda self: self.columns, takes_self=True)
    )

    @property
    def rows(self) -> AnySelect:
        """The statement. Its FROM has the targets even if it selects no column of them."""
        return self.statement if self.link.kind is LinkKind.SECONDARY else self.statement.select_from(self.target)


def link_on(prop: RelationshipProperty[Any], parent: Mapper[Any], dialect: Dialect) -> Link:
    """Return the link with the fewest joins that is correct on a database."""
    link = links.link(prop, parent)
    if dialect.name not in _EXACT_TEXT and (
        link.compares_text or any(is_uuid_of_text(each.type, dialect) for each in link.columns)
    ):
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
    columns = tuple(key_part(alias, name) for name in link.attributes)
    through = getattr(alias, prop.key)
    if prop.entity.is_aliased_class:
        through = through.of_type(target)
    # write the condition as a WHERE: a primaryjoin may use a third table, which a JOIN would not include
    return Linked(link, target, columns, select(target, *columns).where(through.__clause_element__()))


def told(ties: Linked, dialect: Dialect, *, everywhere: bool) -> Linked:
    """Return targets with the keys of their parents in a form that Python can compare.

    Args:
        ties: the targets and the keys.
        dialect: the dialect of the database of the targets.
        everywhere: whether the parents may be in a database of another kind.
    """
    tellers = [teller(each, dialect, everywhere=everywhere) for each in ties.columns]
    if all(each is None for each in tellers):
        return ties
    pairs = list(zip(tellers, ties.columns, strict=True))
    columns = tuple(key if told is None else told for told, key in pairs)
    asked = tuple(asked_by(told, key) for told, key in pairs)
    return attrs.evolve(ties, columns=columns, asked=asked)


def _mapped(mapper: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    name = mapping.attribute_of(mapper, column)
    attribute: ColumnElement[Any] = column if name is None else getattr(mapper.class_, name)
    return attribute


def collection_order(prop: RelationshipProperty[Any], shape: Shape, target: Any) -> list[Ordering]:
    """Return the declared or mapped order of a collection, with its primary key; none if it has no order."""
    given = shape.order_by if shape.order_by is not None else (prop.order_by or ())
    return with_tie_breaker(given, target)
