"""The resolved tree of a plan, of entities or of views: a plan combined with the facts of the mapping. Data only.

Places are classes at spots of the graph, with the columns that are selected there. Edges are the ways between them.
Recipes describe the objects made from the rows: mapped instances, or objects of the user's view classes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy import Table
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.types import TypeEngine

from loadplan.declared.spec import Depth, StrategyName
from loadplan.mapped import mapping
from loadplan.mapped.cardinality import Cardinality
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
        """True if some of a parent's rows may be left out."""
        return bool(self.where) or self.limit is not None


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


@attrs.define(eq=False)
class Place:
    """A class at one position of the graph, with the selected columns. Resolving fills it; afterwards it never changes.

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

    @property
    def relationships(self) -> "list[Edge]":
        """The edges that are relationships. The other edges lead to a subclass's own columns of the same row."""
        return [edge for edge in self.edges if edge.prop is not None]


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
        prop: the relationship; None for the edge to a subclass's own columns of the same row.
        cardinality: of the relationship.
        target: where it leads.
        shape: which rows, in which order, how many.
        single: whether a constraint holds a parent to one row at most.
        asked: the ``strategy=`` of the declaration.
        outputs: the recipes for each row at the end. There are several if several fields read one to-one.
        aggregation: the aggregate that is computed in place of rows; None if rows are loaded.
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
    """A collection of the objects or values at the end of an edge.

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
    """One value made of many: the sum of counts, or whether any of several rows exists.

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
        members: each value of the discriminator, with the recipe for rows that have it.
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
        columns: attribute names of the columns that are loaded.
        parts: of subclasses of the subclass.
        by_mapping: whether the plan does not name the subclass: the mapping loads it with its base.
    """

    edge: Edge
    columns: frozenset[str]
    parts: "tuple[Part, ...]" = ()
    by_mapping: bool = False

    @property
    def place(self) -> Place:
        """The subclass's own place."""
        return self.edge.target


@attrs.frozen(eq=False)
class Instance:
    """A mapped instance of a row, with a seal on the attributes that are not loaded.

    Attributes:
        place: whose columns and edges become its attributes.
        columns: attribute names of the columns that are loaded. The place may select more, to tell classes and keys.
        subset: ``"only"`` or ``"defer"``, the word that the plan restricts the columns by.
        frontier: relationships that the place above has and that end here, with the depth that they end at.
        discriminator: the column that tells its class; None where there is one class.
        parts: the loaded attributes of subclasses.
        whole: the relationship that runs through a whole tree of these instances, if one does.
        keys: columns that are the keys of subclasses whose keys have other names than the class's own.
    """

    place: Place
    columns: frozenset[str]
    subset: str | None = None
    frontier: Mapping[str, int] = attrs.field(factory=dict)
    discriminator: Column | None = None
    parts: tuple[Part, ...] = ()
    whole: Edge | None = None
    keys: tuple[Column, ...] = ()


Recipe: TypeAlias = Read | Compose | Make | One | Many | Total | Computed | Choose | Instance


@attrs.frozen(eq=False)
class Tree:
    """A plan, resolved.

    Attributes:
        label: the plan's name, for errors and explanations.
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
        """True if its rows become mapped instances."""
        return isinstance(self.recipe, Instance)


def edges_below(place: Place) -> Iterator[Edge]:
    """Yield every edge below a place, parents before children; a tree of any depth is one edge."""
    for edge in place.edges:
        yield edge
        if edge.target is not place:
            yield from edges_below(edge.target)


def instance_at(edge: Edge) -> Instance:
    """Return the recipe for the objects at the end of a relationship, in a plan of entities."""
    made = edge.outputs[0]
    assert isinstance(made, Instance)  # noqa: S101 - of a plan of entities
    return made


def tables_read(tree: Tree) -> Iterator[tuple[Mapper[Any], Table]]:
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
            case Instance(place):
                waiting += [below for edge in _edges_of_row(place) for below in edge.outputs]
            case _:
                pass


def _edges_of_row(place: Place) -> Iterator[Edge]:
    """Yield the edges of a place, and the edges of the places of subclasses in the same row."""
    for edge in place.edges:
        yield edge
        if edge.prop is None:
            yield from _edges_of_row(edge.target)
