"""The resolved tree of a plan, of entities or of views: a plan combined with the facts of the mapping. Data only.

A place is a class at one position of the graph, with the columns that are selected there. An edge leads from one place
to another. A recipe describes an object made from a row: a mapped instance, or an object of the user's view class.
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
        name: the name of the attribute. For an expression, the name of the field that it fills.
        expression: the SQL expression, over the class at the place.
        type: the SQL type.
        never_null: whether the mapping excludes NULL.
        is_attribute: whether it holds the attribute ``name`` although the expression is not that attribute.
    """

    name: str
    expression: Any
    type: TypeEngine[Any]
    never_null: bool = False
    is_attribute: bool = False


@attrs.frozen(eq=False)
class Shape:
    """The rows of a relationship that a declaration takes. By default, it takes all rows in the mapping's order.

    Attributes:
        where: conditions on the target that must all hold.
        order_by: the order of a collection; None for the order in the mapping.
        limit: the most rows that each parent gets.
        depth: ``"all"`` for a whole tree. A number of levels becomes as many edges, one below the other.
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
        name: the name by which ``params=`` passes its value.
        type: the type of the column that it is compared with.
        required: whether it has no default value.
        expanding: whether it stands for a list, as in ``Post.id.in_(bindparam("ids", expanding=True))``.
    """

    name: str
    type: TypeEngine[Any]
    required: bool
    expanding: bool = False


@attrs.define(eq=False)
class Place:
    """A class at one position of the graph, with the selected columns. Resolving fills it. Later it never changes.

    Attributes:
        mapper: the mapper of the class.
        entity: the class, or the alias that a relationship of the mapping leads to.
        path: the names of the edges that lead to the place from the root.
        columns: the selected columns.
        edges: the edges that start at the place.
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


#: Stands for the result of an aggregate over no rows if only the database knows this result.
UNKNOWN: Final = object()


@attrs.frozen(eq=False)
class Aggregation:
    """A value that the database computes over the rows at the end of an edge. The rows themselves are not loaded.

    Attributes:
        kind: ``"count"``, ``"exists"`` or ``"aggregate"``.
        expression: the aggregate function, for ``"aggregate"``.
        type: the SQL type of the result.
        empty: the result if there are no rows; :data:`UNKNOWN` if only the database knows it.
    """

    kind: str
    expression: Any
    type: TypeEngine[Any]
    empty: Any = None


@attrs.define(eq=False)
class Edge:
    """A way from one place to another.

    Attributes:
        name: the name of the relationship, as ``"Post.comments"``.
        field: the field of a view that the edge fills, as ``"PostCard.comments"``.
        owner: the place at which the edge starts.
        prop: the relationship; None for the edge to a subclass's own columns of the same row.
        cardinality: the cardinality of the relationship.
        target: the place that the edge leads to.
        shape: the conditions, order, limit and depth of the rows.
        single: whether a constraint ensures one row at most for each parent.
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
        """The name of the relationship without its class."""
        return self.name.rpartition(".")[2]


# --- recipes: how to make a value from a row ------------------------------------------------------------------------


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
        edge: the edge to the object.
        output: the index of the recipe in the edge's ``outputs``.
        required: the field that must have a value, as ``"PostCard.author"``; None if the value may be missing.
    """

    edge: Edge
    output: int
    required: str | None


@attrs.frozen(eq=False)
class Many:
    """A collection of the objects or values at the end of an edge.

    Attributes:
        edge: the edge to the rows.
        container: the class of the collection.
        key: for a dictionary, the column with the key of each item.
        flat: whether each row gives a collection or None. The field then holds the items of all these collections.
    """

    edge: Edge
    container: Container
    key: Column | None = None
    flat: bool = False


@attrs.frozen(eq=False)
class Total:
    """One value made from many values: the sum of counts, or whether any of several rows exists.

    Attributes:
        parts: the collection of the values.
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
        field: the field or view that holds the union, for errors.
    """

    column: Column
    members: "tuple[tuple[tuple[Any, ...], Recipe], ...]"
    field: str


@attrs.frozen(eq=False)
class Part:
    """The additional loads for rows of a subclass at a place.

    Attributes:
        edge: the edge to the subclass's own place, which is in the same row.
        columns: attribute names of the columns that are loaded.
        parts: the parts for subclasses of the subclass.
        by_mapping: True if the mapping loads the subclass with its base, and the plan does not name it.
        below: if ``by_mapping`` is True, the classes further down that the plan names. Their branches say which columns
            of their rows are loaded.
    """

    edge: Edge
    columns: frozenset[str]
    parts: "tuple[Part, ...]" = ()
    by_mapping: bool = False
    below: tuple[type[Any], ...] = ()

    def holds_for(self, kind: type[Any]) -> bool:
        """Tell whether the rows of a class have this part."""
        return issubclass(kind, self.place.mapper.class_) and not issubclass(kind, self.below)

    @property
    def place(self) -> Place:
        """The subclass's own place."""
        return self.edge.target


@attrs.frozen(eq=False)
class Instance:
    """A mapped instance for a row, with a seal on the attributes that are not loaded.

    Attributes:
        place: the place whose columns and edges become its attributes.
        columns: attribute names of the columns that are loaded. The place may select further columns for class and key.
        subset: ``"only"`` or ``"defer"`` if the plan restricts the columns; otherwise None.
        frontier: relationships with ``depth=`` that end at this place, each with its depth.
        discriminator: the column that tells the class of a row; None if the rows have one class.
        parts: the loaded attributes of subclasses.
        whole: with ``depth="all"``, the relationship that leads through a whole tree of these instances.
        keys: columns with the keys of subclasses, if these keys have other names than the key of the class.
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
    """A resolved plan.

    Attributes:
        label: the label of the plan, for errors and explanations.
        root: the place of the roots.
        recipe: how to make a root.
        parameters: every ``bindparam`` whose value comes with the fetch.
        undecodable: drivers that could not read a type of this plan within a row.
    """

    label: str
    root: Place
    recipe: Recipe
    parameters: tuple[Parameter, ...] = ()
    undecodable: list[str] = attrs.field(factory=list)

    @property
    def of_entities(self) -> bool:
        """True if the rows of the tree become mapped instances."""
        return isinstance(self.recipe, Instance)


def edges_below(place: Place) -> Iterator[Edge]:
    """Yield every edge below a place, parents before children. A whole tree (``depth="all"``) is one edge."""
    for edge in place.edges:
        yield edge
        if edge.target is not place:
            yield from edges_below(edge.target)


def places_from(root: Place) -> Iterator[Place]:
    """Yield a place and every place below it, parents before children."""
    yield root
    for edge in edges_below(root):
        yield edge.target


def instance_at(edge: Edge) -> Instance:
    """Return the recipe for the objects at the end of a relationship, in a plan of entities."""
    made = edge.outputs[0]
    assert isinstance(made, Instance)  # noqa: S101 - of a plan of entities
    return made


def tables_read(tree: Tree) -> Iterator[tuple[Mapper[Any], Table]]:
    """Yield (mapper, table) for each table that a plan reads, also for association tables.

    The class of the mapper is in the same database as the table.
    """
    for place in places_from(tree.root):
        yield from ((place.mapper, each) for each in place.mapper.tables if isinstance(each, Table))
    for edge in edges_below(tree.root):
        if edge.prop is not None and edge.prop.secondary is not None:
            within = mapping.tables_in(edge.prop.secondary)
            yield from ((edge.target.mapper, each) for each in within if isinstance(each, Table))


def recipes_in(recipe: Recipe) -> Iterator[Recipe]:
    """Yield a recipe and all recipes within it, each once."""
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
