"""Resolves a plan of entities against the mapping into a tree, and finds every problem."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan.declared.spec import Below, Load, On, Plan, comparable
from loadplan.errors import Problem
from loadplan.mapped import links, mapping
from loadplan.mapped.cardinality import Cardinality
from loadplan.mapped.repeats import other_keys
from loadplan.resolved import problems, unloadable
from loadplan.resolved.conditions import conditions_on, order_problems, parameters_once, shape_problems
from loadplan.resolved.form import MOST_LEVELS, OfType, is_reference, spelled_out
from loadplan.resolved.parts import key_of
from loadplan.resolved.resolving import resolve_once
from loadplan.resolved.tree import Column, Edge, Instance, Part, Place, Shape, Tree, edges_below


def resolve_entities(plan: Plan[Any]) -> Tree:
    """Resolve a plan of entities against the mapping, and return its tree. This happens once for each plan.

    Raises:
        PlanError: the plan has problems. The error lists all of them.
    """
    return resolve_once(plan, _entities)


def _entities(plan: Plan[Any], mapper: Mapper[Any], found: list[Problem]) -> Tree | None:
    root = Place(mapper, mapper.class_, ())
    recipe = _Resolver(found).instance(root, [_said_by(plan)], (plan.label,))
    if not found:
        found.extend(_conflicts(root, plan.label))
    if found:
        return None
    _drop_filtered_back_references(root)
    return Tree(plan.label, root, recipe, parameters_once(_expressions(root)))


# --- declarations about a place -------------------------------------------------------------------------------------


@attrs.frozen
class _Said:
    """The loads and columns that one declaration names for a place: no columns, all columns, or a subset."""

    loads: tuple[Below, ...]
    only: tuple[QueryableAttribute[Any], ...] | None
    defer: tuple[QueryableAttribute[Any], ...] | None
    says_columns: bool

    @property
    def subset(self) -> str | None:
        """``"only"`` or ``"defer"`` if the declaration restricts the columns; otherwise None."""
        return "only" if self.only is not None else "defer" if self.defer else None


@attrs.frozen
class _Again:
    """The loads of a relationship that a subclass maps again, in another way."""

    mapper: Mapper[Any]
    loads: tuple[Load[Any], ...]


def _said_by(item: Below) -> _Said:
    """Return the declarations of a plan, a load or a branch. Without ``only=`` and ``defer=``, it loads all columns.

    But ``load(Post.author, AUTHOR_PLAN)`` loads the columns of the plan.
    """
    takes_columns_of_plan = isinstance(item, Load) and any(isinstance(below, Plan) for below in item.loads)
    says = item.only is not None or item.defer is not None or not takes_columns_of_plan
    return _Said(item.loads, item.only, item.defer, says)


def _classes_of(parts: Iterable[Part]) -> Iterator[Mapper[Any]]:
    """Yield the classes of parts, and of the parts below them."""
    for part in parts:
        yield part.place.mapper
        yield from _classes_of(part.parts)


# --- comparing declarations with the mapping ------------------------------------------------------------------------


@attrs.frozen
class _Resolver:
    """Walks through a plan and the mappers. It adds each problem to ``found`` and goes on."""

    found: list[Problem]

    # --- places ---------------------------------------------------------------------------------------------------

    def instance(
        self,
        place: Place,
        said: list[_Said],
        at: tuple[str, ...],
        *,
        keys: frozenset[str] = frozenset(),
        ends: Mapping[str, int] | None = None,
        whole: Edge | None = None,
    ) -> Instance:
        """Fill a place with its declarations, and return the recipe for the objects of its rows.

        Args:
            place: the place, which is still empty.
            said: the declarations about the place.
            at: the names that lead to the place, for errors.
            keys: columns that loading needs, whether or not the plan declares them.
            ends: relationships with ``depth=`` that end at the place, each with its depth.
            whole: with ``depth="all"``, the relationship that leads here and on through a whole tree.
        """
        columns, again = self.declared(place, said, at, mapping.default_columns(place.mapper), keys)
        _select(place, columns)
        subset = next((each.subset for each in said if each.subset), None)
        loaded = frozenset(mapping.polymorphic_loads(place.mapper) if subset is None else ())
        parts = [*self.parts(place, said, again, at, loaded)]
        if subset is None:
            parts += self.parts_by_mapping(place, {*_classes_of(parts)}, at, loaded)
        return Instance(
            place=place,
            columns=columns,
            subset=subset,
            frontier=ends or {},
            discriminator=_discriminator(place),
            parts=tuple(parts),
            whole=whole,
            keys=_union_keys(place),
        )

    def declared(
        self,
        place: Place,
        said: list[_Said],
        at: tuple[str, ...],
        default: frozenset[str],
        keys: frozenset[str] = frozenset(),
    ) -> tuple[frozenset[str], list[_Again]]:
        """Add the declared relationships to a place. Return (its columns, loads that subclasses map again).

        Args:
            place: the place, which has no relationships yet.
            said: the declarations about the place. This method adds the declarations of nested plans for the place.
            at: the names that lead to the place, for errors.
            default: columns to load if no declaration names columns.
            keys: columns that loading needs, whether or not the plan declares them.
        """
        mapper = place.mapper
        for each in said:  # the list grows, because the loop adds nested plans for the same place
            nested = [item for item in each.loads if isinstance(item, Plan)]
            said.extend(_said_by(item) for item in nested if self.fits(mapper, item, at))
        if (column := mapping.unhashable_key(mapper)) is not None:
            self.found.append(problems.key_without_hash(mapper, column, at))
        again: list[_Again] = []
        for key, items in self.by_relationship(mapper, said, at).items():
            prop = mapper.relationships[key]
            again += (_Again(sub, tuple(items)) for sub in mapping.mapped_again(mapper, key))
            keys |= links.key_columns(prop, mapper)
            place.edges.append(self.edge(place, prop, items, (*at, key)))
        columns = self.columns(mapper, said, default, at) | mapping.required_columns(mapper) | keys
        return columns & {prop.key for prop in mapping.column_attributes(mapper)}, again

    # --- subclasses -----------------------------------------------------------------------------------------------

    def parts_by_mapping(
        self, place: Place, declared: set[Mapper[Any]], at: tuple[str, ...], loaded: frozenset[Mapper[Any]]
    ) -> Iterator[Part]:
        """Yield a part for each subclass that the mapping loads with its base and the plan does not name."""
        for sub in mapping.polymorphic_loads(place.mapper):
            if sub not in declared:
                above = [each for each in declared if sub.isa(each)]  # these branches say which of their columns come
                nothing = [_Said((), None, None, says_columns=False)]
                part = self.part(place, sub, nothing, at, loaded, by_mapping=True, above=above)
                yield attrs.evolve(part, below=tuple(each.class_ for each in declared if each.isa(sub)))

    def parts(
        self,
        place: Place,
        said: Sequence[_Said],
        again: Sequence[_Again],
        at: tuple[str, ...],
        loaded: frozenset[Mapper[Any]],
        rows_of: Place | None = None,
    ) -> Iterator[Part]:
        """Resolve the declarations for subclasses at a place, each subclass once.

        Args:
            place: the place of the base class.
            said: the declarations about the place.
            again: relationships that subclasses map in another way.
            at: the names that lead to the place, for errors.
            loaded: the subclasses whose columns the mapping loads with the rows.
            rows_of: the place whose rows the place of the base class reads, if these are not its own rows.
        """
        groups: dict[Mapper[Any], list[_Said]] = {}
        for about in said:
            for item in about.loads:
                if isinstance(item, On):
                    sub = mapping.mapper_of(item.entity)
                    if sub is not None and sub is not place.mapper and sub.isa(place.mapper):
                        groups.setdefault(sub, []).append(_said_by(item))
                    elif sub is not None:
                        self.found.append(
                            problems.not_a_subclass(place.mapper, sub, at, of_type=isinstance(item, OfType))
                        )
        for each in again:
            own = groups.setdefault(each.mapper, [])
            if key_of(each.loads[0]) not in self.by_relationship(each.mapper, own, at):
                own.append(_Said(each.loads, None if each.mapper in loaded else (), None, says_columns=True))
        for sub, own in groups.items():
            yield self.part(place, sub, own, at, loaded, rows_of=rows_of)

    def part(
        self,
        place: Place,
        sub: Mapper[Any],
        said: list[_Said],
        at: tuple[str, ...],
        loaded: frozenset[Mapper[Any]],
        *,
        by_mapping: bool = False,
        above: Sequence[Mapper[Any]] = (),
        rows_of: Place | None = None,
    ) -> Part:
        """Resolve the columns and relationships that a subclass adds to the rows of a place, and of ``above``."""
        name = f"on({sub.class_.__name__})"
        at = (*at, name)
        target = Place(sub, sub.class_, (*place.path, name))
        bases = (place.mapper, *above)
        inherited = {prop.key for base in bases for prop in mapping.column_attributes(base)}
        columns, again = self.declared(target, said, at, mapping.default_columns(sub) - inherited)
        base = place if rows_of is None else rows_of
        in_row = _select_of_subclass(target, base, columns)
        way = Edge(
            name=name,
            field=name,
            owner=place,
            prop=None,
            cardinality=Cardinality.ONE_TO_ONE,
            target=target,
            single=True,
            in_row=in_row,
        )
        place.edges.append(way)
        parts = self.parts(target, said, again, at, loaded, base if in_row else None)
        return Part(way, columns, tuple(parts), by_mapping)

    # --- relationships --------------------------------------------------------------------------------------------

    def fits(self, mapper: Mapper[Any], plan: Plan[Any], at: tuple[str, ...]) -> bool:
        """Tell whether a nested plan is for the class at this place. Report the plan if it is not."""
        other = mapping.mapper_of(plan.entity)
        if other is not None and mapper.isa(other):
            return True
        self.found.append(problems.wrong_plan(mapper, plan, at))
        return False

    def by_relationship(
        self, mapper: Mapper[Any], said: Sequence[_Said], at: tuple[str, ...]
    ) -> dict[str, list[Load[Any]]]:
        """Return the loads of a place by relationship, in the order in which each relationship is first named."""
        groups: dict[str, list[Load[Any]]] = {}
        for each in said:
            for item in each.loads:
                if isinstance(item, Load) and is_reference(item):
                    prop = self.relationship(mapper, item.relationship, at)
                    if prop is not None:
                        groups.setdefault(prop.key, []).append(spelled_out(item))
        return groups

    def relationship(
        self, mapper: Mapper[Any], named: QueryableAttribute[Any] | str, at: tuple[str, ...]
    ) -> RelationshipProperty[Any] | None:
        """Return the relationship that a load names on the class at this place. If it does not exist, report it."""
        key = named if isinstance(named, str) else named.key
        prop = mapping.relationship(mapper, key)
        owner = mapping.owner_of(named)
        if prop is not None and (owner is None or mapper.isa(owner)):
            if prop.lazy in mapping.UNLOADABLE_LAZY:
                self.found.append(unloadable.lazy_query(mapper, prop, at))
                return None
            if unfit := unloadable.problems_of(mapper, prop, at):
                self.found.extend(unfit)
                return None
            return prop
        self.found.append(problems.no_relationship(mapper, key, owner, at))
        return None

    def edge(self, place: Place, prop: RelationshipProperty[Any], items: list[Load[Any]], at: tuple[str, ...]) -> Edge:
        """Resolve one relationship from every load that names it, with everything below it."""
        mapper = place.mapper
        name = f"{mapper.class_.__name__}.{prop.key}"
        said = [_said_by(item) for item in items]
        disagreed = [word for word in ("strategy", "where", "order_by", "limit", "depth") if not _agree(items, word)]
        self.found.extend(problems.loads_disagree(name, word, items, at) for word in disagreed)
        first = items[0]
        where = conditions_on(prop, first.where or ())
        shape = Shape(where, first.order_by, first.limit, first.depth)
        self.found.extend(shape_problems(mapper, prop, shape, first.strategy, at))
        self.found.extend(order_problems(prop, shape, at))
        depth = first.depth if isinstance(first.depth, int) and "depth" not in disagreed else 1
        if 1 < depth <= MOST_LEVELS and prop.mapper.isa(prop.parent):
            below = tuple(attrs.evolve(item, depth=depth - 1) for item in items)
            said.append(_Said(below, None, None, says_columns=False))
        keys = links.collection_key_columns(prop) | links.far_key_columns(prop)
        is_whole = first.depth == "all"
        if is_whole:
            keys |= links.key_columns(prop, prop.mapper)
        target = Place(prop.mapper, mapping.target_entity(mapper, prop.key), (*place.path, name))
        way = Edge(
            name=name,
            field=name,
            owner=place,
            prop=prop,
            cardinality=mapping.cardinality(prop),
            target=target,
            shape=attrs.evolve(shape, depth="all" if is_whole else None),
            single=links.is_single(prop),
            asked=next((item.strategy for item in items if item.strategy is not None), None),
            back=links.back_reference(prop),
        )
        ends = {prop.key: _run_length(target.path)} if first.depth == 1 else None
        way.outputs.append(self.instance(target, said, at, keys=keys, ends=ends, whole=way if is_whole else None))
        return way

    def columns(
        self, mapper: Mapper[Any], said: Iterable[_Said], default: frozenset[str], at: tuple[str, ...]
    ) -> frozenset[str]:
        """Return the columns that all declarations about a place load together."""
        asked: frozenset[str] = frozenset()
        any_says = False
        for each in said:
            only = self.column_keys(mapper, each.only, at)
            defer = self.column_keys(mapper, each.defer, at)
            if each.says_columns:
                any_says = True
                asked |= (only if each.only is not None else default) - defer
        return asked if any_says else default

    def column_keys(self, mapper: Mapper[Any], columns: Iterable[object] | None, at: tuple[str, ...]) -> frozenset[str]:
        """Return the names of the column attributes in ``only=`` or ``defer=``. Report values that are not columns."""
        found: set[str] = set()
        for column in columns or ():
            if isinstance(column, QueryableAttribute):
                owner = mapping.owner_of(column)
                belongs = owner is not None and mapper.isa(owner)
                keys = mapping.columns_behind(mapper, column.key) if belongs else None
                if keys is None:
                    self.found.append(problems.no_column(mapper, column.key, owner, at))
                found.update(keys or ())
        return frozenset(found)


def _agree(items: Sequence[Load[Any]], word: str) -> bool:
    """Tell whether loads of one relationship agree about one argument. A load without a strategy agrees with any."""
    given = [item for item in items if word != "strategy" or item.strategy is not None]
    return all(_same(word, given[0], item) for item in given[1:])


def _same(word: str, one: object, other: object) -> bool:
    return comparable(getattr(one, word)) == comparable(getattr(other, word))


def _run_length(path: tuple[str, ...]) -> int:
    """Return how often the last edge repeats at the end of a path. This is the depth at which a tree ends."""
    count = 0
    for name in reversed(path):
        if name != path[-1]:
            break
        count += 1
    return count


# --- selected columns -----------------------------------------------------------------------------------------------


def _select(place: Place, names: frozenset[str]) -> None:
    """Add columns to the selected columns of a place, and the expressions that its class always loads."""
    own = {column.name for column in place.columns}
    for prop in mapping.column_attributes(place.mapper):
        if prop.key in names and prop.key not in own:
            attribute = getattr(place.entity, prop.key)
            place.columns.append(Column(prop.key, attribute, attribute.expression.type))
    for prop in mapping.default_expressions(place.mapper):
        place.columns.append(Column(prop.key, getattr(place.entity, prop.key), prop.columns[0].type))


def _select_of_subclass(target: Place, base: Place, names: frozenset[str]) -> bool:
    """Select columns of a subclass at its own place. Tell whether they are in the row of its base class."""
    columns = mapping.columns_in_row(target.mapper, base.mapper, names)
    in_row = columns is not None and base.entity is base.mapper.class_
    if columns is not None and in_row:  # an attribute of the subclass would hide the rows of other classes
        for key, column in columns.items():
            target.columns.append(Column(key, column, column.type, is_attribute=True))
    _select(target, names)
    return in_row


def _discriminator(place: Place) -> Column | None:
    """Return the column of a place that tells the class of a row. Select it if it is not selected yet."""
    mapper = place.mapper
    if mapper.polymorphic_on is None or not mapper.polymorphic_map:
        return None
    name = mapping.attribute_of(mapper, mapper.polymorphic_on)
    for column in place.columns:
        if column.name == name:
            return column
    column = Column("loadplan_type", mapper.polymorphic_on, mapper.polymorphic_on.type)
    place.columns.append(column)
    return column


def _union_keys(place: Place) -> tuple[Column, ...]:
    """Select and return the columns of a union that are keys of subclasses whose keys have other names."""
    found = tuple(Column(name, each, each.type) for name, each in other_keys(place.mapper).items())
    place.columns += found
    return found


# --- the tree as a whole --------------------------------------------------------------------------------------------


def _relationships_below(root: Place) -> Iterator[tuple[RelationshipProperty[Any], Edge]]:
    """Yield (relationship, edge) for every loaded relationship. A relationship may be loaded at several places."""
    for edge in edges_below(root):
        if edge.prop is not None:
            yield edge.prop, edge


def _conflicts(root: Place, label: str) -> Iterator[Problem]:
    """Yield a problem for each relationship that two paths load with different rows. An object holds only one value."""
    seen: dict[RelationshipProperty[Any], Edge] = {}
    for prop, edge in _relationships_below(root):
        other = seen.setdefault(prop, edge)
        if not _same_rows(edge.shape, other.shape):
            yield problems.paths_disagree(label, other, edge)


def _same_rows(one: Shape, other: Shape) -> bool:
    return all(_same(word, one, other) for word in ("where", "order_by", "limit"))


def _drop_filtered_back_references(root: Place) -> None:
    """Leave out back references that a condition elsewhere in the plan may contradict."""
    filtered = {prop for prop, edge in _relationships_below(root) if edge.cardinality.to_one and edge.shape.where}
    for _, edge in _relationships_below(root):
        if edge.back is not None and edge.target.mapper.relationships[edge.back] in filtered:
            edge.back = None


def _expressions(root: Place) -> Iterator[Any]:
    """Yield the conditions and orders of a tree."""
    for edge in edges_below(root):
        yield from (*edge.shape.where, *(edge.shape.order_by or ()))
