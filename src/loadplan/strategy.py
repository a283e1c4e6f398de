"""Which strategy each edge takes, and why. Pure: a tree in, the same tree with its choices out.

The rules are published in docs/strategies.md; a reason is a sentence of theirs.
"""

from collections.abc import Callable
from typing import Any

import attrs

from loadplan.tree import Cardinality, Edge, Node, Strategy, Tree

#: Joins that one statement takes at most. SQLite refuses more than 64 tables.
MAX_JOINS = 50


def choose_strategies(tree: Tree) -> Tree:
    """Return the tree with a strategy and its reason on every edge."""
    return attrs.evolve(tree, root=_choose_node(tree.root, _Joins()))


def by_keys_instead(tree: Tree, given_up: Callable[[Edge], bool]) -> Tree:
    """Return the tree with select-in on the edges that a run cannot take as they were chosen."""

    def node_instead(node: Node) -> Node:
        return attrs.evolve(
            node,
            edges=tuple(map(edge_instead, node.edges)),
            branches=tuple(map(node_instead, node.branches)),
        )

    def edge_instead(edge: Edge) -> Edge:
        strategy = Strategy.SELECTIN if given_up(edge) else edge.strategy
        return attrs.evolve(edge, strategy=strategy, target=node_instead(edge.target))

    return attrs.evolve(tree, root=node_instead(tree.root))


def goes_by_subquery(edge: Edge) -> bool:
    """Tell whether an edge repeats the statement of its parents."""
    return edge.strategy is Strategy.SUBQUERY


def joins_collection(edge: Edge) -> bool:
    """Tell whether an edge spreads its parents over many rows."""
    return edge.strategy.joins and not edge.cardinality.to_one


@attrs.define
class _Joins:
    """The joins taken so far by the statement that a node is loaded in, and the collections among them."""

    count: int = 0
    collections: set[tuple[type[Any], str]] = attrs.field(factory=set)


def _choose_node(node: Node, joins: _Joins) -> Node:
    edges = tuple(_choose_edge(edge, joins) for edge in node.edges)
    branches = tuple(_choose_node(branch, _Joins()) for branch in node.branches)
    return attrs.evolve(node, edges=edges, branches=branches)


def _choose_edge(edge: Edge, joins: _Joins) -> Edge:
    strategy, reason = _choice(edge, joins)
    if strategy.joins:
        joins.count += 1
        if not edge.cardinality.to_one:
            joins.collections.add((edge.target.entity, edge.key))
        target = _choose_node(edge.target, joins)
    else:
        target = _choose_node(edge.target, _Joins())
    return attrs.evolve(edge, strategy=strategy, reason=reason, target=target)


def _own_statement(edge: Edge) -> Strategy:
    return Strategy.SUBQUERY if edge.asked == "subquery" else Strategy.SELECTIN


def _would_join(edge: Edge) -> bool:
    return edge.asked in {"joined", "inner"} or (edge.asked is None and edge.cardinality.to_one)


def _choice(edge: Edge, joins: _Joins) -> tuple[Strategy, str]:
    if edge.why_not_joined is not None:
        return _own_statement(edge), edge.why_not_joined
    if edge.to_alias and edge.asked != "subquery" and any(map(_would_join, edge.target.edges)):
        # SQLAlchemy drops what is joined below a join to an alias
        return Strategy.SELECTIN, "it leads to an alias, and joins go on from there only in a statement of its own"
    if edge.asked in {"joined", "inner"} and (edge.target.entity, edge.key) in joins.collections:
        # SQLAlchemy fills one list from both places and loses it
        return (
            Strategy.SELECTIN,
            "the statement above joins this collection already, and a row may stand at both places",
        )
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
