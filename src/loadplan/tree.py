"""The resolved tree: what a plan means against the mapping. Data only; a plan is turned into it by ``resolve``."""

import enum
from typing import Any

import attrs
from sqlalchemy.orm import Mapper

from loadplan.spec import StrategyName


class Cardinality(enum.Enum):
    """How many targets a parent may have, and parents a target."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_ONE = "one-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        """Whether a parent has one target at most."""
        return self in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}


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
class Edge:
    """One relationship of the graph.

    Attributes:
        key: the attribute's name on the parent.
        owner: the class that the parents are of, at this place of the tree.
        cardinality: of the relationship, by its mapping.
        target: what is loaded there.
        single: whether a constraint, and not the mapping alone, holds a parent to one target at most.
        back_reference: the many-to-one of the target that points back to the parent, if the mapping has one.
        asked: the ``strategy=`` of the declaration.
        strategy: the one chosen.
        reason: why, as a sentence for ``explain``.
    """

    key: str
    owner: type[Any]
    cardinality: Cardinality
    target: "Node"
    single: bool = False
    back_reference: str | None = None
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
        restricted: whether ``columns`` are fewer or more than the mapping loads by itself.
        subset: ``"only"`` or ``"defer"``, the word that the plan restricts them by.
        edges: its relationships, in the order they were declared.
    """

    mapper: Mapper[Any]
    path: tuple[str, ...]
    columns: frozenset[str]
    restricted: bool
    subset: str | None
    edges: tuple[Edge, ...]

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
    """

    label: str
    root: Node
