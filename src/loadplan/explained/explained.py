"""What there is to tell of a plan, as data: the tree with its reasons, and every statement."""

import attrs


@attrs.frozen
class ExplainedEdge:
    """One relationship of a plan.

    Attributes:
        name: ``"User.posts"``.
        target: name of the class it leads to.
        cardinality: ``"one-to-many"`` and the like.
        strategy: ``"left join"``, ``"inner join"``, ``"select-in"`` or ``"subquery"``.
        reason: why that one.
        columns: names of the columns loaded there, or None for all that the mapping loads.
        statement: number of the statement that brings it, from 1.
        edges: what hangs below.
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
        edge: name of the edge that it loads; the entity's name for the first.
        sql: its text; parameters are named, as the driver's own marks tell nothing.
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
