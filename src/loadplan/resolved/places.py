"""The resolved tree of a view: the places that columns are read at, and how an object is made of them. Data only."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy import Table
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.types import TypeEngine

from loadplan.declared.spec import StrategyName
from loadplan.mapped import mapping
from loadplan.mapped.cardinality import Cardinality
from loadplan.resolved.nodes import Node, Parameter, Shape
from loadplan.view_classes.annotations import Container
from loadplan.view_classes.fields import ViewClass


@attrs.frozen(eq=False)
class Column:
    """A value that is selected at a place.

    Attributes:
        name: of the attribute, or of the field that an expression is for.
        expression: over the class at the place.
        type: its SQL type.
        never_null: whether the mapping says so.
        is_attribute: whether it holds the attribute of that name, though the expression does not tell.
    """

    name: str
    expression: Any
    type: TypeEngine[Any]
    never_null: bool = False
    is_attribute: bool = False


@attrs.define(eq=False)
class Place:
    """A class at one spot of the graph, and what is selected there. Filled while a plan is resolved, then left alone.

    Attributes:
        mapper: of the class.
        entity: the class, or the alias that a mapping relates to.
        path: the edges that lead here from the root.
        columns: what is selected.
        edges: the ways on.
    """

    mapper: Mapper[Any]
    entity: Any
    path: tuple[str, ...]
    columns: list[Column] = attrs.field(factory=list)
    edges: "list[Edge]" = attrs.field(factory=list)


#: The result of an aggregate over no rows that only the database can tell.
UNKNOWN: Final = object()


@attrs.frozen(eq=False)
class Aggregation:
    """A value that is computed over the rows at the end of an edge, instead of reading them.

    Attributes:
        kind: ``"count"``, ``"exists"`` or ``"aggregate"``.
        expression: the aggregate function, for the last of them.
        type: of the result.
        empty: the result where there is no row; :data:`UNKNOWN` where only the database can tell.
    """

    kind: str
    expression: Any
    type: TypeEngine[Any]
    empty: Any = None


@attrs.define(eq=False)
class Edge:
    """A way from one place to another.

    Attributes:
        name: ``"Post.comments"``.
        field: the field of a view that it is for, as ``"PostCard.comments"``.
        owner: where it starts.
        prop: the relationship; None for the way to what a subclass adds to its own row.
        cardinality: of the relationship.
        target: where it leads.
        shape: which rows, in which order, how many.
        single: whether a constraint holds a parent to one row at most.
        asked: the ``strategy=`` of the declaration.
        outputs: what is made of each row at the end; several fields may read one to-one.
        aggregation: what is computed instead, if it is.
        back: the many-to-one of the target that points back to the parent, if the mapping has one.
        in_row: whether the columns of a subclass are columns of the table that the parent's row is of.
    """

    name: str
    field: str
    owner: Place
    prop: RelationshipProperty[Any] | None
    cardinality: Cardinality
    target: Place
    shape: Shape = attrs.field(factory=Shape)
    single: bool = False
    asked: StrategyName | None = None
    outputs: "list[Recipe]" = attrs.field(factory=list)
    aggregation: Aggregation | None = None
    back: str | None = None
    in_row: bool = False

    @property
    def key(self) -> str:
        """The name without its class."""
        return self.name.rpartition(".")[2]


# --- recipes: how a value is made of a row --------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Read:
    """The value of a column."""

    column: Column


@attrs.frozen(eq=False)
class Compose:
    """A composite of columns: ``make`` is called with their values."""

    columns: tuple[Column, ...]
    make: Any


@attrs.frozen(eq=False)
class Make:
    """An object of a view class, from a value for each of its fields that has one."""

    view: ViewClass
    place: Place
    fields: "tuple[tuple[str, Recipe], ...]"


@attrs.frozen(eq=False)
class One:
    """The object at the end of a to-one. If there is no row: None, or an error if the field does not allow None.

    Attributes:
        edge: the way there.
        output: which of the edge's outputs.
        required: the field that must have a value, as ``"PostCard.author"``; None where there may be none.
    """

    edge: Edge
    output: int
    required: str | None


@attrs.frozen(eq=False)
class Many:
    """A collection of what is at the end of an edge.

    Attributes:
        edge: the way there.
        container: what holds the items.
        key: of each item, in a dictionary.
        flat: whether each item is a collection itself, or None, whose items are the field's.
    """

    edge: Edge
    container: Container
    key: Column | None = None
    flat: bool = False


@attrs.frozen(eq=False)
class Total:
    """One value of many counts, or of many existences: their sum, or whether there is one.

    Attributes:
        parts: the collection of them.
        function: ``sum`` or ``any``.
    """

    parts: Many
    function: Any


@attrs.frozen(eq=False)
class Computed:
    """The value of an aggregation."""

    edge: Edge


@attrs.frozen(eq=False)
class Choose:
    """A member of a union, by the discriminator of the row.

    Attributes:
        column: the discriminator.
        members: its values, and what is made of a row that has one of them.
        field: the field, or view, that is chosen for; for errors.
    """

    column: Column
    members: "tuple[tuple[tuple[Any, ...], Recipe], ...]"
    field: str


@attrs.frozen(eq=False)
class Part:
    """The additional loads for those rows at a place that are of a subclass.

    Attributes:
        edge: the way to the subclass's own place, of the same row.
        parts: of subclasses of the subclass.
    """

    edge: Edge
    parts: "tuple[Part, ...]" = ()

    @property
    def place(self) -> Place:
        """The subclass's own place."""
        return self.edge.target


@attrs.frozen(eq=False)
class Instance:
    """A mapped instance of a row, with a seal on what is not loaded.

    Attributes:
        place: whose columns and edges become its attributes.
        node: what the plan declares there.
        discriminator: the column that tells its class; None where there is one class.
        parts: what is loaded of subclasses.
        whole: the relationship that runs through a whole tree of these instances, if one does.
        keys: columns that are the keys of subclasses whose keys have other names than the class's own.
    """

    place: Place
    node: Node
    discriminator: Column | None = None
    parts: tuple[Part, ...] = ()
    whole: Edge | None = None
    keys: tuple[Column, ...] = ()


Recipe: TypeAlias = Read | Compose | Make | One | Many | Total | Computed | Choose | Instance


@attrs.frozen(eq=False)
class ViewTree:
    """A plan of views, resolved.

    Attributes:
        label: the plan's name.
        root: where the graph starts.
        recipe: how a root is made.
        parameters: every ``bindparam`` whose value comes with the fetch.
        undecodable: drivers that met a type in it that they cannot read within a row.
    """

    label: str
    root: Place
    recipe: Recipe
    parameters: tuple[Parameter, ...] = ()
    undecodable: list[str] = attrs.field(factory=list)

    @property
    def of_entities(self) -> bool:
        """Whether mapped instances are made of its rows."""
        return isinstance(self.recipe, Instance)


def edges_below(place: Place) -> Iterator[Edge]:
    """Yield every edge below a place, parents before children; a tree of any depth is one edge."""
    for edge in place.edges:
        yield edge
        if edge.target is not place:
            yield from edges_below(edge.target)


def tables_read(tree: ViewTree) -> Iterator[tuple[Mapper[Any], Table]]:
    """Yield each table that a plan reads, association tables too, with a class that is in the same database."""
    for mapper in (tree.root.mapper, *(edge.target.mapper for edge in edges_below(tree.root))):
        yield from ((mapper, each) for each in mapper.tables if isinstance(each, Table))
    for edge in edges_below(tree.root):
        if edge.prop is not None and edge.prop.secondary is not None:
            within = mapping.tables_in(edge.prop.secondary)
            yield from ((edge.target.mapper, each) for each in within if isinstance(each, Table))


def recipes_in(recipe: Recipe) -> Iterator[Recipe]:
    """Yield a recipe and all that it is made of, each once."""
    waiting, seen = [recipe], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        match each:
            case Make(_, _, fields):
                waiting += [below for _, below in fields]
            case Choose(_, members, _):
                waiting += [below for _, below in members]
            case One(edge) | Many(edge):
                waiting += edge.outputs
            case Total(parts):
                waiting.append(parts)
            case _:
                pass
