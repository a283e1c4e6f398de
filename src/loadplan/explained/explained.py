"""The explanation of a plan, as data: the tree with its reasons, and every statement."""

import attrs


@attrs.frozen
class ExplainedEdge:
    """One relationship of a plan.

    Attributes:
        name: the relationship, for example ``"User.posts"``.
        target: name of the class that it leads to.
        cardinality: for example ``"one-to-many"``.
        strategy: ``"left join"``, ``"inner join"``, ``"select-in"`` or ``"subquery"``.
        reason: why loadplan chose this strategy.
        columns: names of the loaded columns; None if all are loaded that the mapping loads by default.
        statement: number of the statement that loads it, from 1.
        edges: the relationships below it.
    """

    name: str
    target: str
    cardinality: str
    strategy: str
    reason: str
    columns: tuple[str, ...] | None
    statement: int
    edges: "tuple[ExplainedEdge, ...]"


@attrs.frozen
class ExplainedStatement:
    """One statement of a plan.

    Attributes:
        edge: the relationship that it loads; for the first statement, the name of the root's class.
        sql: its text, with the names of its parameters.
    """

    edge: str
    sql: str


@attrs.frozen
class Explained:
    """What an :class:`loadplan.Explanation` holds.

    Attributes:
        plan: its label.
        entity: name of the class that the graph starts at.
        columns: names of the root's columns that are loaded, or None for all that the mapping loads.
        edges: the relationships.
        sql: every statement, in the order they run.
        statements: how many a fetch of up to 500 parents an edge takes.
        formula: the same beyond.
    """

    plan: str
    entity: str
    columns: tuple[str, ...] | None
    edges: tuple[ExplainedEdge, ...]
    sql: tuple[ExplainedStatement, ...]
    statements: int
    formula: str
