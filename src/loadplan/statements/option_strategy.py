"""Which loader option of SQLAlchemy each edge takes, for ``plan.options()`` and ``plan.select()``.

Pure: a tree in, the same tree with its choices out. A fetch chooses by ``resolved.strategy``.
"""

from collections import Counter
from typing import Any

import attrs
from sqlalchemy.orm import Mapper

from loadplan.mapped.cardinality import Cardinality
from loadplan.resolved.nodes import Edge, Node, Strategy, Tree
from loadplan.resolved.strategy import MAX_JOINS


def choose_strategies(tree: Tree) -> Tree:
    """Return the tree with a strategy and its reason on every edge."""
    return attrs.evolve(tree, root=_choose_node(tree.root, _Joins(_places(tree.root))))


@attrs.define
class _Joins:
    """Facts about the statement that a node is loaded in.

    Attributes:
        places: how often each class may stand in it.
        count: joins taken so far.
    """

    places: Counter[Mapper[Any]]
    count: int = 0


def _choose_node(node: Node, joins: _Joins) -> Node:
    edges = tuple(_choose_edge(edge, node, joins) for edge in node.edges)
    branches = tuple(_choose_node(branch, _Joins(_places(branch))) for branch in node.branches)
    return attrs.evolve(node, edges=edges, branches=branches)


def _choose_edge(edge: Edge, node: Node, joins: _Joins) -> Edge:
    strategy, reason = _choice(edge, node, joins)
    if strategy.joins:
        joins.count += 1
        target = _choose_node(edge.target, joins)
    else:
        target = _choose_node(edge.target, _Joins(_places(edge.target)))
    return attrs.evolve(edge, strategy=strategy, reason=reason, target=target)


def _places(node: Node) -> Counter[Mapper[Any]]:
    """Count the places of each class in the statement that starts at a node, as far as joins may go."""
    found = Counter([node.mapper.base_mapper])
    for edge in node.edges:
        if _would_join(edge):
            found += _places(edge.target)
    return found


def _own_statement(edge: Edge) -> Strategy:
    return Strategy.SUBQUERY if edge.asked == "subquery" else Strategy.SELECTIN


def _would_join(edge: Edge) -> bool:
    return edge.asked in {"joined", "inner"} or (edge.asked is None and edge.cardinality.to_one)


def _choice(edge: Edge, node: Node, joins: _Joins) -> tuple[Strategy, str]:
    if edge.why_not_joined is not None:
        return _own_statement(edge), edge.why_not_joined
    if edge.to_alias and edge.asked != "subquery" and any(map(_would_join, edge.target.edges)):
        # SQLAlchemy drops joins below a join to an alias
        return Strategy.SELECTIN, "it leads to an alias, and joins go on from there only in a statement of its own"
    if edge.asked in {"joined", "inner"} and not edge.cardinality.to_one and joins.places[node.mapper.base_mapper] > 1:
        # SQLAlchemy loses the list of a row if the same statement has the row in another place without the list
        return Strategy.SELECTIN, f"a {node.entity.__name__} stands at several places of the statement above"
    if edge.asked is not None:
        return Strategy(edge.asked), f"the plan asks for strategy={edge.asked!r}"
    if edge.shape.depth == "all":
        return Strategy.SELECTIN, "a whole tree: as deep as the rows go"
    if not edge.cardinality.to_one:
        return Strategy.SELECTIN, "a collection: a statement of its own never multiplies the parent's rows"
    if joins.count >= MAX_JOINS:
        return Strategy.SELECTIN, f"the statement above joins {MAX_JOINS} tables already"
    if edge.cardinality is Cardinality.MANY_TO_ONE:
        return (
            Strategy.JOINED,
            "one row at most; LEFT OUTER, so a missing or hidden one never drops its parent",
        )
    return (
        Strategy.JOINED,
        "one row on either side; LEFT OUTER, so a missing or hidden one never drops its parent",
    )
