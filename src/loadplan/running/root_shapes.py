"""Narrows a graph by conditions and orders. If these differ only in their values, they share one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import BigInteger, BindParameter, SelectBase, bindparam
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from loadplan.declared.sources import Source, is_path
from loadplan.declared.spec import facts_of
from loadplan.mapped.elements import element_of
from loadplan.resolved.conditions import parameters_in
from loadplan.resolved.form import is_sql
from loadplan.resolved.tree import Parameter
from loadplan.running.plans import Compiled
from loadplan.running.roots import RootQuery, check_counts, checked_parameters
from loadplan.sqlalchemy_internals import shape_of
from loadplan.statements.reached import is_plain


@attrs.frozen(eq=False)
class RootShape:
    """Roots by condition, order and limit, ready to run for any values in the condition.

    Attributes:
        graph: the narrowed graph. Values in its condition are parameters named ``loadplan_value_0`` and so on.
        declared: the parameters that the caller must pass.
    """

    graph: Compiled[Any]
    declared: tuple[Parameter, ...]


#: The number of shapes of conditions that a compiled plan remembers. An application has a few for each plan.
_SHAPES = 64


def roots_by(
    compiled: Compiled[Any],
    where: Sequence[Any],
    order_by: Sequence[Any],
    limit: int | None,
    offset: int | None,
    params: Mapping[str, Any] | None,
) -> tuple[Compiled[Any], dict[str, Any]]:
    """Return the graph narrowed to the roots that meet conditions, and the parameters of its statement.

    Conditions that differ only in their literal values share one statement, which is checked and narrowed once. The
    default value of a parameter with a name is a part of the statement.

    Raises:
        PlanError: LP107, LP108 or LP215, an argument is not a condition, an order or a number of roots.
        ParameterError: LP405, ``params`` does not fit the plan and the conditions.
    """
    check_counts(compiled, limit, offset)
    shapes = [_shape(each) for each in (*where, *order_by)]
    if any(each is None for each in shapes):
        query = RootQuery(compiled, where, order_by)
        return query.graph(limit, offset), query.parameters(params)
    spoken = [each for shape in shapes if shape is not None for each in shape[1]]
    defaults = _defaults(spoken)
    if defaults is None:
        query = RootQuery(compiled, where, order_by)
        return query.graph(limit, offset), query.parameters(params)
    expressions = (shape[0] for shape in shapes if shape is not None)
    key = ("roots", len(where), limit is None, offset is None, *expressions, *defaults)
    literals = [each for each in spoken if each.unique]
    values = {f"loadplan_value_{index}": each.effective_value for index, each in enumerate(literals)}
    known: dict[Any, RootShape] = compiled.variants.setdefault("shapes", {})
    found = known.get(key)
    if found is None:
        if len(known) >= _SHAPES:
            known.clear()
        found = known[key] = _root_shape(compiled, where, order_by, limit, offset, literals)
    if limit is not None:
        values["loadplan_limit"] = limit
    if offset is not None:
        values["loadplan_offset"] = offset
    return found.graph, {**checked_parameters(compiled, found.declared, params), **values}


def _defaults(parameters: Sequence[BindParameter[Any]]) -> tuple[Any, ...] | None:
    """Return the default values of parameters with names, as in ``bindparam("since", 3)``.

    The result is None if they are not known.
    """
    named = [each for each in parameters if not each.unique]
    found = tuple(facts_of(each) for each in named)
    try:
        hash(found)
    except TypeError:
        return None
    return None if any(each.callable is not None for each in named) else found


def _shape(expression: Any) -> Any:
    """Return the shape of an expression; None if it is not an SQL expression, or contains a subquery."""
    if is_path(expression):
        return _shape_of_path(expression)
    if not is_sql(expression):
        return None
    element = element_of(expression)
    if not is_sql(element) or any(isinstance(part, SelectBase) for part in iterate(element)):
        return None
    return shape_of(element)


def _shape_of_path(given: Source) -> Any:
    """Return the shape of a path: its attributes, with the shape of an expression at the end."""
    if is_plain(given):
        return given, ()
    way = attrs.evolve(given, path=given.path[:-1])
    end = _shape(given.path[-1]) if given.path and is_plain(way) else None
    return None if end is None else ((way, end[0]), end[1])


def _expressions(given: Sequence[Any]) -> list[Any]:
    """Return the expressions in conditions and orders. An expression may be the last item of a path."""
    ends = (each.path[-1:] if is_path(each) else (each,) for each in given)
    return [each for end in ends for each in end]


def _root_shape(
    compiled: Compiled[Any],
    where: Sequence[Any],
    order_by: Sequence[Any],
    limit: int | None,
    offset: int | None,
    literals: Sequence[Any],
) -> RootShape:
    RootQuery(compiled, where, order_by)  # raises the error for a wrong value
    names = {id(value): index for index, value in enumerate(literals)}

    def renamed(element: Any, **_: Any) -> Any:
        if id(element) not in names:
            return None
        name = f"loadplan_value_{names[id(element)]}"
        return bindparam(name, type_=element.type, expanding=element.expanding, literal_execute=element.literal_execute)

    def with_names(expression: Any) -> Any:
        if not is_path(expression):
            return replacement_traverse(element_of(expression), {}, renamed)
        if is_plain(expression):
            return expression
        return attrs.evolve(expression, path=(*expression.path[:-1], with_names(expression.path[-1])))

    query = RootQuery(compiled, [with_names(each) for each in where], [with_names(each) for each in order_by])
    counts = [
        None if given_count is None else bindparam(name, type_=BigInteger())
        for name, given_count in (("loadplan_limit", limit), ("loadplan_offset", offset))
    ]
    declared = tuple(each for expression in _expressions((*where, *order_by)) for each in parameters_in(expression))
    return RootShape(query.narrowed(counts[0], counts[1]), declared)
