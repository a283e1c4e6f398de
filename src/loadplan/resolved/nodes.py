"""The resolved tree: what a plan means against the mapping. Data only; a plan is turned into it by ``resolve``."""

import enum
from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from loadplan.declared.spec import Depth, StrategyName
from loadplan.mapped.cardinality import Cardinality


class Strategy(enum.Enum):
    """How an edge is loaded. The values are what ``strategy=`` takes."""

    JOINED = "joined"
    INNER = "inner"
    SELECTIN = "selectin"
    SUBQUERY = "subquery"

    @property
    def joins(self) -> bool:
        """Whether the target comes in its parent's own statement."""
        return self in {Strategy.JOINED, Strategy.INNER}

    @property
    def title(self) -> str:
        """The name to print."""
        titles = {"joined": "left join", "inner": "inner join", "selectin": "select-in"}
        return titles.get(self.value, self.value)


@attrs.frozen(eq=False)
class Shape:
    """The rows of a relationship that a declaration takes; all of them, in the mapping's order, by default.

    Attributes:
        where: conditions on the target that must all hold.
        order_by: order of a collection; None for the mapping's own.
        limit: rows a parent gets at most.
        depth: ``"all"`` for a whole tree; a number of levels is so many edges, one below the other.
    """

    where: tuple[Any, ...] = ()
    order_by: tuple[Any, ...] | None = None
    limit: int | None = None
    depth: Depth | None = None

    @property
    def partial(self) -> bool:
        """Whether some of a parent's rows may be left out."""
        return bool(self.where) or self.limit is not None


@attrs.frozen(eq=False)
class Edge:
    """One relationship of the graph.

    Attributes:
        key: the attribute's name on the parent.
        owner: the class that the parents are of, at this place of the tree.
        cardinality: of the relationship, by its mapping.
        target: what is loaded there.
        single: whether a constraint, and not the mapping alone, holds a parent to one target at most.
        to_alias: whether the mapping relates to an alias, of a subquery for instance, and not to the class itself.
        why_not_joined: why a join would not reach every parent, if it would not.
        back_reference: the many-to-one of the target that points back to the parent, if the mapping has one.
        shape: which rows, in which order, how many of them, how deep.
        asked: the ``strategy=`` of the declaration.
        strategy: the one chosen.
        reason: why, as a sentence for ``explain``.
    """

    key: str
    owner: type[Any]
    cardinality: Cardinality
    target: "Node"
    single: bool = False
    to_alias: bool = False
    why_not_joined: str | None = None
    back_reference: str | None = None
    shape: Shape = Shape()
    asked: StrategyName | None = None
    strategy: Strategy = Strategy.SELECTIN
    reason: str = ""

    @property
    def name(self) -> str:
        """``User.posts``."""
        return f"{self.owner.__name__}.{self.key}"


@attrs.frozen(eq=False)
class Node:
    """One place of the graph: the objects found there, and what is loaded of them.

    Attributes:
        mapper: of the class at this place.
        path: the edges that lead here from the root, as ``("User.posts", "Post.tags")``.
        columns: attribute names of the columns that are loaded.
        restricted: whether ``columns`` must be named in the statement: some are left out, or the mapping defers some.
        subset: ``"only"`` or ``"defer"``, the word that the plan restricts them by.
        edges: its relationships, in the order they were declared.
        branches: what is loaded besides of objects that are of a subclass.
        by_mapping: whether it is a branch that the plan does not name: the mapping loads the subclass with its base.
        frontier: relationships that the place above has and that end here, with the depth that they end at.
    """

    mapper: Mapper[Any]
    path: tuple[str, ...]
    columns: frozenset[str]
    restricted: bool
    subset: str | None
    edges: tuple[Edge, ...]
    branches: "tuple[Node, ...]" = ()
    by_mapping: bool = False
    frontier: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def entity(self) -> type[Any]:
        """The class at this place."""
        return self.mapper.class_


@attrs.frozen(eq=False)
class Tree:
    """A plan, resolved.

    Attributes:
        label: the plan's name, for errors and explanations.
        root: the place that the graph starts at.
        parameters: name and type of every ``bindparam`` in it whose value comes with the fetch; whether one must come.
    """

    label: str
    root: Node
    parameters: "tuple[Parameter, ...]" = ()


@attrs.frozen(eq=False)
class Parameter:
    """A ``bindparam`` of a plan.

    Attributes:
        name: that ``params=`` gives it by.
        type: of the column that it is compared with.
        required: whether it has no default value.
        expanding: whether it stands for a list, as in ``Post.id.in_(bindparam("ids", expanding=True))``.
    """

    name: str
    type: TypeEngine[Any]
    required: bool
    expanding: bool = False
