"""Checks conditions, orders and their parameters against the mapping. They choose the rows of a relationship."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Select, and_, exists, literal_column, select
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.sources import Source, is_path
from loadplan.declared.spec import StrategyName
from loadplan.errors import Problem
from loadplan.mapped import links, mapping
from loadplan.mapped.elements import element_of, has_aggregate, has_window
from loadplan.resolved import problems, problems_of_orders
from loadplan.resolved.form import is_sql
from loadplan.resolved.paths import end_of, path_problem, steps_of
from loadplan.resolved.tree import Parameter, Shape
from loadplan.sqlalchemy_internals import criteria_of


def shape_problems(
    mapper: Mapper[Any],
    prop: RelationshipProperty[Any],
    shape: Shape,
    strategy: StrategyName | None,
    at: tuple[str, ...],
) -> Iterator[Problem]:
    """Yield the problems of the condition, order and limit of a relationship: LP211 to LP215."""
    if not prop.uselist:
        for word in ("order_by", "limit"):
            if getattr(shape, word) is not None:
                yield problems_of_orders.to_one_in_order(prop, word, at)
    elif shape.limit is not None and shape.order_by is None and not prop.order_by:
        yield problems_of_orders.limit_without_order(prop, at)
    if shape.depth is not None and not (prop.mapper.isa(prop.parent) and mapper.isa(prop.parent)):
        yield problems.not_a_tree(prop, at)
    elif shape.depth == "all":
        yield from (problems.tree_mapped_again(prop, sub, at) for sub in _mapping_trees_again(prop))
    for word in _NEEDS_OWN_STATEMENT.get(strategy or "", ()):
        given = getattr(shape, word)
        if given is not None and not (word == "depth" and given != "all"):
            yield problems.strategy_cannot(prop, str(strategy), word, at)
    for word in ("where", "order_by"):
        given = getattr(shape, word) or ()
        for path in filter(is_path, given):
            yield from _path_problems(prop, path, at)
        given = tuple(each for each in given if not is_path(each))
        aggregates = [*filter(has_aggregate, filter(is_sql, given))]
        for each in aggregates:
            yield problems_of_orders.aggregate_in(word, each, at, prop.mapper, prop)
        if aggregates:
            continue
        given = _as_seen_at(prop, given, subclasses=word == "order_by")
        tables = foreign_tables(_tables_at(prop), given)
        if tables:
            name = f"{prop.parent.class_.__name__}.{prop.key}"
            to_alias = prop.entity.is_aliased_class
            yield problems.speaks_of_others(
                name, prop.mapper, word, tables, given, at, to_alias=to_alias, parent=prop.parent
            )


def _mapping_trees_again(prop: RelationshipProperty[Any]) -> Iterator[Mapper[Any]]:
    """Yield the subclasses that map the relationship of a tree again, from themselves to themselves."""
    if prop.key in prop.mapper.relationships:
        for sub in mapping.mapped_again(prop.mapper, prop.key):
            if sub.relationships[prop.key].mapper.isa(sub):
                yield sub


def _path_problems(prop: RelationshipProperty[Any], path: Source, at: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the problems of ``order_by=source(...)`` of a collection: LP112, LP215."""
    if prop.entity.is_aliased_class:
        detail = f"'{prop.parent.class_.__name__}.{prop.key}' leads to an alias"
        yield problems.not_a_path("order_by", path, detail, at, prop.mapper)
    elif (wrong := problem_of_path(path, prop.mapper, at, "order_by")) is not None:
        yield wrong


def problem_of_path(path: Source, mapper: Mapper[Any], at: tuple[str, ...], word: str) -> Problem | None:
    """Return the problem of a path in ``where=`` or ``order_by=``, or None: LP112, LP215.

    Args:
        path: the path.
        mapper: the mapper of the class at which it starts.
        at: the place in the plan, for errors.
        word: the argument with the path.
    """
    if (wrong := path_problem(path, mapper, at, word)) is not None:
        return wrong
    for prop, step in steps_of(path, mapper):
        given = _as_seen_at(prop, criteria_of(step), subclasses=False)
        if tables := foreign_tables(_tables_at(prop), given):
            name = f"{prop.parent.class_.__name__}.{prop.key}"
            to_alias = prop.entity.is_aliased_class
            return problems.speaks_of_others(
                name, prop.mapper, "where", tables, given, at, to_alias=to_alias, parent=prop.parent
            )
    end, value = end_of(path, mapper)
    if tables := foreign_tables(mapping.tables_of(end), conditions_of(end, [value])):
        return problems.speaks_of_others(end.class_.__name__, end, word, tables, [value], at)
    return None


def order_problems(prop: RelationshipProperty[Any], shape: Shape, at: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the problems of the order in which the rows of a relationship are read: LP211, LP215."""
    is_one = not prop.uselist
    if is_one and links.is_single(prop):  # one row has no order
        return
    order = shape.order_by if shape.order_by is not None else tuple(prop.order_by or ())
    if (shape.limit is not None or is_one) and any(has_window(each) for each in order if not is_path(each)):
        yield problems_of_orders.window_in_order(prop, at)
    if shape.order_by is None:
        tables = foreign_tables(_tables_at(prop), _as_seen_at(prop, order, subclasses=True))
        if tables:
            yield problems_of_orders.mapped_order_of_others(prop, tables, at)


def _tables_at(prop: RelationshipProperty[Any]) -> set[Any]:
    """Return the tables that a statement for the rows of a relationship reads."""
    known = mapping.tables_at(prop.entity.entity)
    return known if prop.secondary is None else known | {prop.secondary, *mapping.tables_in(prop.secondary)}


def _as_seen_at(prop: RelationshipProperty[Any], given: Sequence[Any], *, subclasses: bool) -> tuple[Any, ...]:
    """Return expressions with the columns of the class at the end of a relationship."""
    if prop.entity.is_aliased_class:
        return tuple(given)
    return tuple(mapping.as_seen_from(prop.mapper, each, subclasses=subclasses) for each in given)


#: Arguments that need a separate statement. A join has only the order of its parent, and cannot count rows per parent.
_NEEDS_OWN_STATEMENT = {
    "joined": ("order_by", "limit", "depth"),
    "inner": ("order_by", "limit", "depth"),
    "subquery": ("limit", "depth"),
}


#: Parts of an expression, by their names for SQLAlchemy's visitors, that bring no table.
_PLAIN = frozenset(
    {
        *("binary", "bindparam", "case", "cast", "clauselist", "collation", "expression_clauselist"),
        *("false", "function", "grouping", "null", "true", "unary"),
    }
)


def foreign_tables(known: set[Any], expressions: Sequence[Any]) -> list[str]:
    """Return the names of tables that expressions use outside of subqueries, except the ``known`` tables."""
    return sorted(map(_table_name, _foreign(known, expressions)))


def _foreign(known: set[Any], expressions: Sequence[Any]) -> set[Any]:
    usable: list[Any] = [each for each in expressions if is_sql(each) and not _speaks_only_of(known, each)]
    froms = select(*usable).get_final_froms() if usable else []
    return {table for each in froms for table in (mapping.tables_in(each) if each not in known else ())} - known


def _speaks_only_of(known: set[Any], expression: Any) -> bool:
    """Tell whether an expression consists of columns of known tables, so that SQLAlchemy need not compile it."""
    element = element_of(expression)
    return all(
        getattr(part, "table", None) in known if part.__visit_name__ == "column" else part.__visit_name__ in _PLAIN
        for part in iterate(element)
    )


def conditions_on(prop: RelationshipProperty[Any], conditions: Sequence[Any]) -> tuple[Any, ...]:
    """Return conditions on the rows of a relationship. Turn conditions on columns of joined subclasses into subqueries.

    The subquery joins the subclass's table with a LEFT OUTER JOIN, so that the statement does not need this join. If a
    row does not have the subclass, the subclass's columns are NULL.
    """
    return tuple(conditions) if prop.entity.is_aliased_class else conditions_of(prop.mapper, conditions)


def conditions_of(mapper: Mapper[Any], conditions: Sequence[Any]) -> tuple[Any, ...]:
    """Return conditions on the rows of a class. Turn conditions on other tables of its hierarchy into subqueries."""
    found = tuple(mapping.as_seen_from(mapper, each) for each in conditions)
    if all(each.local_table is mapper.local_table for each in mapper.self_and_descendants):
        return found
    return tuple(_on_subclasses(mapper, each) for each in found)


def _on_subclasses(mapper: Mapper[Any], condition: Any) -> Any:
    tables = {
        each.local_table: each
        for each in mapper.self_and_descendants
        if not each.concrete and each.local_table is not mapper.local_table
    }
    foreign = _foreign(mapping.tables_at(mapper.class_), [condition])
    key = mapping.key_attributes(mapper.class_)
    if not foreign or foreign - tables.keys() or any(len(each.primary_key) != len(key) for each in foreign):
        return condition
    one = select(literal_column("1").label("one")).subquery()
    rows: Any = one
    for table in sorted(foreign, key=str):
        met = and_(*(theirs == ours for theirs, ours in zip(table.primary_key, key, strict=True)))
        rows = rows.outerjoin(table, met)
    found: Select[Any] = select(literal_column("1")).select_from(rows).where(condition)
    return exists(found.correlate_except(one, *foreign))


def _table_name(table: Any) -> str:
    """Return the name of a table, an alias or a subquery. SQLAlchemy names some only when it writes the statement."""
    name = str(getattr(table, "name", "another query"))
    if "%(" not in name:
        return name
    return f"an alias of {_table_name(table.element)}" if hasattr(table.element, "name") else "another query"


def parameters_once(expressions: Iterable[Any]) -> tuple[Parameter, ...]:
    """Return the parameters of expressions, each name once."""
    found = (parameter for expression in expressions for parameter in parameters_in(expression))
    by_name: dict[str, Parameter] = {}
    for parameter in found:
        by_name.setdefault(parameter.name, parameter)
    return tuple(by_name.values())


def parameters_in(expression: Any) -> Iterator[Parameter]:
    """Yield the parameters of an expression that have a name of their author's: ``bindparam("since")``, no literals."""
    if is_path(expression):
        for step in expression.path:
            carried = criteria_of(step) if isinstance(step, QueryableAttribute) else (step,)
            for each in carried:
                yield from parameters_in(each)
        return
    element = element_of(expression)
    for each in iterate(element):
        if isinstance(each, BindParameter) and not each.unique:
            yield Parameter(each.key, each.type, each.required, each.expanding)
