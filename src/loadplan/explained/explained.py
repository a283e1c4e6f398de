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
        columns: names of the loaded columns; None for all columns that the mapping loads by default.
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
        sql: the text of the statement, with the names of its parameters.
    """

    edge: str
    sql: str


@attrs.frozen
class Explained:
    """The data of an :class:`loadplan.Explanation`.

    Attributes:
        plan: the label of the plan.
        entity: name of the class that the graph starts at.
        columns: names of the loaded columns of the root; None for all columns that the mapping loads by default.
        edges: the relationships.
        sql: the statements, in the order in which they run.
        statements: the number of statements of a fetch, for up to 500 parents of each relationship.
        formula: the number of statements for any number of rows, as text.
    """

    plan: str
    entity: str
    columns: tuple[str, ...] | None
    edges: tuple[ExplainedEdge, ...]
    sql: tuple[ExplainedStatement, ...]
    statements: int
    formula: str
