"""Which roots: a compiled graph narrowed by key, by keys, or by condition, order and limit."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy import ClauseElement, bindparam, select
from sqlalchemy.orm import QueryableAttribute, Session

from loadplan import mapping, problems
from loadplan.entities.graph import CompiledGraph, Narrowing
from loadplan.entities.keys import Keys, keys_of, row_of
from loadplan.entities.statements import AnySelect
from loadplan.errors import PlanError
from loadplan.identity import Identity, IdentityReader
from loadplan.ordering import Ordering, with_tie_breaker
from loadplan.parameters import read_parameters
from loadplan.resolve import foreign_tables, parameters_in
from loadplan.spec import LoadPlan
from loadplan.tree import Node, Parameter

T = TypeVar("T")


@attrs.frozen(eq=False)
class ById:
    """A graph narrowed to one root by primary key; its statement is the same for every id."""

    graph: CompiledGraph[Any]
    reader: IdentityReader

    def bind(self, given: object) -> dict[str, Any]:
        """Return the parameters for an id.

        Raises:
            IdentityError: LP404, the value cannot be that key.
        """
        return {f"loadplan_id_{index}": value for index, value in enumerate(self.reader.read(given))}

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return _parameters(self.graph, (), given)


@attrs.frozen(eq=False)
class ByIds:
    """A graph narrowed to many roots by primary key."""

    compiled: CompiledGraph[Any]
    graph: CompiledGraph[Any]
    reader: IdentityReader
    keys: Keys

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return _parameters(self.graph, (), given)

    def run(
        self, session: Session, identities: Sequence[Identity], parameters: Mapping[str, Any], max_rows: int | None
    ) -> dict[Identity, Any]:
        """Return what is found by identity, in as few executions as the keys go in."""
        keys = [identity[0] for identity in identities] if self.keys.width == 1 else list(identities)
        found: dict[Identity, Any] = {}
        executions = [{**parameters, **bound} for bound in self.keys.bind(keys)]
        for root in self.graph.run(session, executions, max_rows):
            found[mapping.identity_of(root)] = root
        if not self.reader.exact:
            self._look_again(session, [each for each in identities if each not in found], parameters, found)
        return found

    def _look_again(
        self,
        session: Session,
        missing: Sequence[Identity],
        parameters: Mapping[str, Any],
        found: dict[Identity, Any],
    ) -> None:
        """Ask one by one for ids that the database may take for equal to keys that Python does not."""
        one = by_id(self.compiled)
        for identity in missing:
            for root in one.graph.run(session, [{**parameters, **one.bind(identity)}]):
                found[identity] = root


def by_id(compiled: CompiledGraph[Any]) -> ById:
    """Return a graph narrowed to one root, made once a graph."""
    found: ById | None = compiled.variants.get("by id")
    if found is None:
        conditions = [
            column == bindparam(f"loadplan_id_{index}", type_=column.type)
            for index, column in enumerate(root_key(compiled.root.node))
        ]
        graph = compiled.narrowed(lambda statement: statement.where(*conditions))
        found = compiled.variants["by id"] = ById(graph, _reader(compiled))
    return found


def by_ids(compiled: CompiledGraph[Any]) -> ByIds:
    """Return a graph narrowed to many roots, made once a graph."""
    found: ByIds | None = compiled.variants.get("by ids")
    if found is None:
        keys = keys_of(root_key(compiled.root.node), compiled.dialect)
        graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
        found = compiled.variants["by ids"] = ByIds(compiled, graph, _reader(compiled), keys)
    return found


def root_key(node: Node) -> list[Any]:
    """Return the attributes of a node's primary key."""
    return [getattr(node.entity, name) for name in mapping.primary_key(node.mapper)]


class RootQuery:
    """The roots that meet conditions, in an order.

    Args:
        compiled: the graph.
        where: conditions on the root that must all hold.
        order_by: order expressions on the root.

    Raises:
        PlanError: LP108 or LP215, a condition or an order that is none, or is about something else than the root.
    """

    def __init__(self, compiled: CompiledGraph[Any], where: Sequence[Any], order_by: Sequence[Any]) -> None:
        self.compiled = compiled
        self.where = tuple(where)
        node = compiled.root.node
        found = [
            problems.not_an_expression(word, each, (compiled.tree.label,))
            for word, given in (("where", where), ("order_by", order_by))
            for each in given
            if not isinstance(each, ClauseElement | QueryableAttribute)
        ]
        if not found:
            entity = node.entity.__name__
            found = [
                problems.speaks_of_others(entity, entity, word, tables, (compiled.tree.label,))
                for word, given in (("where", where), ("order_by", order_by))
                if (tables := foreign_tables(mapping.tables_of(node.mapper), given))
            ]
        if found:
            raise PlanError(found)
        self.order = with_tie_breaker(order_by, node.entity)
        self._given_order = tuple(order_by)

    @property
    def total_order(self) -> list[Ordering]:
        """The order; that of the primary key if none was given."""
        return self.order or with_tie_breaker(root_key(self.compiled.root.node), self.compiled.root.node.entity)

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked.

        Raises:
            ParameterError: LP405.
        """
        return _parameters(self.compiled, (*self.where, *self._given_order), given)

    def graph(self, limit: int | None, offset: int | None, *, in_order: bool = False) -> CompiledGraph[Any]:
        """Return the graph of these roots, in a total order if they must be.

        Raises:
            PlanError: LP107, a limit or offset that counts nothing.
        """
        for word, given in (("limit", limit), ("offset", offset)):
            if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 0):
                raise PlanError([problems.bad_count(word, given, (self.compiled.tree.label,))])
        order = self.total_order if in_order or limit is not None or offset is not None else self.order
        return self.compiled.narrowed(narrowing(self.compiled, self.where, order, limit, offset))


def narrowing(
    compiled: CompiledGraph[Any],
    where: Sequence[Any],
    order: Sequence[Ordering],
    limit: int | None,
    offset: int | None,
) -> Narrowing:
    """Return what narrows a statement to roots by condition, order and limit.

    Where a join may repeat roots, they are counted in a subquery, so that a limit counts roots and never rows.
    """
    key = root_key(compiled.root.node)
    clauses = [each.clause for each in order]

    def narrow(statement: AnySelect) -> AnySelect:
        return statement.where(*where).order_by(*clauses).limit(limit).offset(offset)

    def narrow_by_subquery(statement: AnySelect) -> AnySelect:
        return statement.where(row_of(key).in_(narrow(select(*key)).correlate(None))).order_by(*clauses)

    counts = limit is not None or offset is not None
    return narrow_by_subquery if counts and compiled.root.unique else narrow


def locking(plan: LoadPlan[Any], for_update: bool | Mapping[str, Any]) -> Narrowing:
    """Return what has a statement lock the rows of the root, and no joined ones."""
    options = dict(for_update) if isinstance(for_update, Mapping) else {}
    return lambda statement: statement.with_for_update(**{**options, "of": plan.entity})


def _reader(compiled: CompiledGraph[Any]) -> IdentityReader:
    return IdentityReader(compiled.root.node.mapper, compiled.tree.label, compiled.dialect)


def _parameters(
    compiled: CompiledGraph[Any], expressions: Sequence[Any], given: Mapping[str, Any] | None
) -> dict[str, Any]:
    if not given and not expressions and not compiled.tree.parameters:
        return {}
    declared: list[Parameter] = [*compiled.tree.parameters]
    for expression in expressions:
        declared.extend(parameters_in(expression))
    return read_parameters(compiled.tree.label, declared, given, compiled.dialect)
