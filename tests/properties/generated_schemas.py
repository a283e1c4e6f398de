"""Random schemas as plain descriptions: which entities there are, and how they refer to each other.

Nothing here is SQLAlchemy's: :mod:`generated_mappings` makes classes of a description, :mod:`generated_rows` data.

What is drawn:

* keys of one or two columns of every kind in :mod:`generated_types`, and columns that refer to them of the same type
  or of another whose values are the same, in Python or in the database alone; references that are constrained or not,
  unique or not, NULL, dangling, to a row of another subclass, or that share the first column of the key;
* entities alone, and single-table, joined and concrete inheritance, up to three levels deep, single-table inheritance
  below joined, classes in between that have no rows; discriminators that are columns or expressions;
  ``with_polymorphic="*"``, ``polymorphic_load="inline"`` and ``"selectin"``; the arguments of the mapper in
  ``ROOT_ARGUMENTS`` and below;
* classes that are dataclasses, with the arguments that say how their fields behave;
* columns of every kind, deferred ones, and ``column_property``;
* relationships of every cardinality, both ways, tied by ``back_populates``, made by ``backref``, or mapped apart, with
  every ``lazy=``,
  ``viewonly``, ``sync_backref``, ``uselist``, ``order_by``, ``secondary`` with ``primaryjoin`` and ``secondaryjoin``,
  joins that ask more of the target, the parent or the association than keys, ``foreign_keys`` and ``remote_side`` as
  arguments or as annotations, lists, sets, own lists and dictionaries of three makes, and the arguments in
  ``ANY_ARGUMENTS``, ``TO_ONE_ARGUMENTS`` and ``COLLECTION_ARGUMENTS``.

Not drawn: polymorphic unions, classes mapped to joins and queries, relationships to aliases (tests/real_mappings and
tests/foreign have those).
"""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import attrs
from generated_types import KEY_KINDS, KINDS
from hypothesis import strategies as st

KeyKind: TypeAlias = str  # of generated_types
EndKind: TypeAlias = Literal["many-to-one", "one-to-one", "one-to-many", "many-to-many"]

KEYS: tuple[tuple[KeyKind, ...], ...] = (
    ("integer",),
    ("text",),
    ("integer", "integer"),
    ("text", "integer"),
    ("integer", "text"),
    ("uuid",),
    ("own",),
    ("own", "integer"),
)
KEY_NAMES = ("id", "no")

#: Arguments of ``relationship()`` that change nothing about what a plan brings.
ANY_ARGUMENTS = (
    "passive_deletes",
    "passive_updates",
    "cascade",
    "delete_orphan",
    "post_update",
    "active_history",
    "info",
    "overlaps",
    "load_on_pending",
    "join_depth",
    "unchecked",
    "single_parent",
    "distinct",
    "sides_by_argument",
    "by_name",
    "backref",
    "own_comparator",
    "own_query",
)

#: Arguments that may: of a to-one, of a collection that a plan may load, and of one that has no order nor class yet.
TO_ONE_ARGUMENTS = ("constant", "constant_here", "innerjoin", "ordered_to_one")
COLLECTION_ARGUMENTS = ("constant", "constant_here", "constant_there", "whole_join")
OWN_COLLECTIONS = ("keyed", "keyed_by_column", "keyed_by_function", "own_list")

#: Arguments that make a join say more than its opposite says.
ONE_SIDED = frozenset({"constant", "constant_here", "constant_there"})

#: Arguments of the mapper of an entity that stands alone or is the root of an inheritance, and of a subclass.
ROOT_ARGUMENTS = (
    "eager_defaults",
    "primary_key",
    "exclude",
    "include",
    "partial",
    "batch",
    "refresh",
    "passive_keys",
    "passive_rows",
    "unconfirmed",
    "orphan",
)
TELLING_ROOT_ARGUMENTS = ("version", "own_version")
INHERITED_ARGUMENTS = ("version", "expression", "star")
SUBCLASS_ARGUMENTS = ("inline", "selectin", "condition")

#: What each kind of relationship may be mapped with; plans must not care.
LAZY_TO_ONE = ("select", "joined", "selectin", "subquery", "immediate", "raise", "raise_on_sql", "noload")
LAZY_COLLECTION = (*LAZY_TO_ONE, "dynamic", "write_only")


@attrs.frozen
class Column:
    """A column of an entity that is no key."""

    name: str
    kind: str
    deferred: bool


@attrs.frozen
class Entity:
    """A mapped class: of its own, the root of an inheritance, or a subclass of ``parent``.

    ``concrete_of`` is the class above one that has a table, columns and relationships of its own all the same.
    ``arguments`` are further ones of the mapper. An ``abstract`` one has no rows, only its subclasses have.
    """

    name: str
    key: tuple[KeyKind, ...]
    columns: tuple[Column, ...]
    inheritance: Literal["single", "joined"] | None = None
    parent: str | None = None
    concrete_of: str | None = None
    arguments: tuple[str, ...] = ()
    abstract: bool = False

    @property
    def key_names(self) -> tuple[str, ...]:
        return KEY_NAMES[: len(self.key)]


@attrs.frozen
class End:
    """One relationship: an attribute of ``owner`` that leads to ``target``.

    ``opposite`` is the name in ``back_populates``. ``arguments`` are further ones. Of those that are no arguments of
    ``relationship()`` by name, ``constant`` is a join that asks for a rank of the target, ``constant_here`` for one of
    the owner, ``constant_there`` for a note in the association; ``ordered_to_one`` an ``order_by`` that means nothing;
    ``whole_join`` is ``omit_join=False``; ``sides_by_argument`` has ``foreign_keys`` and ``remote_side`` for
    annotations; ``unchecked`` is ``enable_typechecks=False``; ``distinct`` is ``distinct_target_key``; ``by_name``
    names the target; ``backref`` makes the opposite, if there is one; ``own_comparator`` is ``comparator_factory``;
    ``own_query`` is ``query_class``.
    """

    name: str
    owner: str
    target: str
    kind: EndKind
    lazy: str
    ordered: bool = False
    as_set: bool = False
    viewonly: bool = False
    opposite: str | None = None
    arguments: tuple[str, ...] = ()

    @property
    def to_one(self) -> bool:
        return self.kind in {"many-to-one", "one-to-one"}

    @property
    def populates(self) -> bool:
        """Whether a plan may load it."""
        return self.lazy not in {"dynamic", "write_only"}


@attrs.frozen
class Reference:
    """Foreign-key columns of ``source`` that hold the key of a ``target``.

    Attributes:
        columns: attributes of ``source``, in the order of the target's key; the first is the source's own key where
            the two share it, as in a schema whose every key starts with the tenant.
        kinds: of those columns.
        nullable: whether a row may refer to nothing.
        unique: whether at most one row refers to a target: the way back is one-to-one.
        promised: whether a unique constraint says so too.
        constrained: whether the database holds the rows to it.
        loose: whether rows may refer to what is not there, or is of another subclass.
        deferred: whether the mapping defers the columns.
        apart: whether its values are equal to the keys in the database alone.
    """

    name: str
    source: str
    target: str
    columns: tuple[str, ...]
    kinds: tuple[KeyKind, ...]
    nullable: bool
    unique: bool
    promised: bool
    constrained: bool
    loose: bool
    deferred: bool
    apart: bool
    forward: End | None
    backward: End | None

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns that are not part of the source's own key."""
        return tuple(name for name in self.columns if name not in KEY_NAMES)


@attrs.frozen
class Association:
    """A table of pairs between ``source`` and ``target``; the same pair may stand in it twice unless ``unique``.

    Its columns are of ``source_kinds`` and ``target_kinds``. It is ``apart`` if some of them equal the keys in the
    database alone.
    """

    name: str
    source: str
    target: str
    source_kinds: tuple[KeyKind, ...]
    target_kinds: tuple[KeyKind, ...]
    unique: bool
    constrained: bool
    apart: bool
    forward: End
    backward: End | None


@attrs.frozen
class Schema:
    """Everything that is mapped."""

    entities: tuple[Entity, ...]
    references: tuple[Reference, ...]
    associations: tuple[Association, ...]
    dataclasses: bool = False

    def __str__(self) -> str:
        lines = [*self.entities, *self.references, *self.associations]
        return "\n".join([*map(repr, lines), *(["dataclasses"] if self.dataclasses else [])])

    def entity(self, name: str) -> Entity:
        return next(each for each in self.entities if each.name == name)

    def lineage(self, name: str) -> tuple[str, ...]:
        """Return an entity and those it inherits from, itself first."""
        parent = self.entity(name).parent
        return (name, *self.lineage(parent)) if parent else (name,)

    def root(self, name: str) -> str:
        return self.lineage(name)[-1]

    def is_a(self, name: str, other: str) -> bool:
        return other in self.lineage(name)

    def ends(self, name: str) -> list[End]:
        """Return the relationships of an entity, inherited ones too."""
        return [end for end in self.all_ends() if self.is_a(name, end.owner)]

    def end(self, name: str) -> End:
        return next(end for end in self.all_ends() if end.name == name)

    def all_ends(self) -> Iterator[End]:
        for each in (*self.references, *self.associations):
            yield from (end for end in (each.forward, each.backward) if end is not None)

    def reference_of(self, end: End) -> Reference:
        return next(each for each in self.references if end in (each.forward, each.backward))

    def key_of_edge(self, end: End) -> tuple[str, ...]:
        """Return the attributes of the owner that loading a relationship goes by."""
        return self.reference_of(end).columns if end.kind == "many-to-one" else self.entity(end.owner).key_names

    def compares_apart(self, end: End) -> bool:
        """Tell whether only the database can tell which rows a relationship leads to."""
        ways = (*self.references, *self.associations)
        return next(each for each in ways if end in (each.forward, each.backward)).apart

    def is_made(self, end: End) -> bool:
        """Tell whether a ``backref`` makes an end: of two that would make each other, the way there makes the other."""
        pairs = ((each.forward, each.backward) for each in (*self.references, *self.associations))
        forward = next(one for one, other in pairs if end in (one, other))
        opposite = next((each for each in self.all_ends() if each.name == end.opposite), None)
        if opposite is None or "backref" not in opposite.arguments:
            return False
        return "backref" not in end.arguments or end != forward

    def required(self, name: str) -> set[str]:
        """Return the columns that come whatever a plan says: the key and the discriminator."""
        entity = self.entity(name)
        root = self.entity(self.root(name)).arguments
        kind = ["kind"] if entity.inheritance and "expression" not in root else []
        return {*entity.key_names, *kind, *(["version"] if {"version", "own_version"} & {*root} else [])}

    def brought_along(self, place: str, name: str) -> set[str]:
        """Return the columns of subclasses that the mapping loads with rows of an entity, for a row of a subclass."""
        found: set[str] = set()
        for sub in self.lineage(name)[: self.lineage(name).index(place)]:
            if "star" in self.entity(place).arguments or {"inline", "selectin"} & {*self.entity(sub).arguments}:
                found |= {column for column, comes in self.columns(sub).items() if comes}
        return found

    def columns(self, name: str) -> dict[str, bool]:
        """Return every column attribute of an entity, and whether the mapping loads it by itself."""
        found = dict.fromkeys(sorted(self.required(name)), True)
        if self.entity(name).inheritance:
            found["kind"] = True
        for each in self.lineage(name):
            found |= {column.name: not column.deferred for column in self.entity(each).columns}
        for reference in self.references:
            if self.is_a(name, reference.source):
                found |= dict.fromkeys(reference.own_columns, not reference.deferred)
        return found


def _often(likely: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((likely, likely, *others))


@st.composite
def _columns(draw: st.DrawFn, prefix: str) -> tuple[Column, ...]:
    found = [Column(f"{prefix}rank", "integer", False), Column(f"{prefix}label", "text", draw(_often(False, True)))]
    if draw(st.booleans()):
        found.append(Column(f"{prefix}computed", "computed", draw(st.booleans())))
    if draw(st.booleans()):
        found.append(Column(f"{prefix}more", draw(st.sampled_from(sorted(KINDS))), draw(_often(False, True))))
    return tuple(found)


@st.composite
def _hierarchy(draw: st.DrawFn, name: str) -> list[Entity]:
    one_kind = st.sampled_from(sorted(KEY_KINDS)).map(lambda kind: (kind,))
    two_kinds = st.tuples(st.sampled_from(sorted(KEY_KINDS)), st.sampled_from(("integer", "text")))
    key = draw(st.one_of(st.sampled_from(KEYS), one_kind, two_kinds))
    inheritance = draw(st.sampled_from([None, None, "single", "joined", "concrete"]))
    telling = {None: TELLING_ROOT_ARGUMENTS, "concrete": ()}.get(inheritance, INHERITED_ARGUMENTS)
    arguments = draw(_some(ROOT_ARGUMENTS, telling))
    if inheritance == "concrete":
        found = [Entity(name, key, draw(_columns("")), arguments=arguments)]
        own = draw(_some(ROOT_ARGUMENTS, ()))
        return [*found, Entity(f"{name}1", key, draw(_columns("")), concrete_of=name, arguments=own)]
    found = [Entity(name, key, draw(_columns("")), inheritance, arguments=arguments)]
    for number in range(draw(st.integers(1, 2)) if inheritance else 0):
        # SQLAlchemy cannot tell classes below a joined subclass apart if an expression of the base's table does it
        parents = found[:1] if inheritance == "joined" and "expression" in arguments else found
        parent = draw(st.sampled_from(parents)).name
        sub = f"{name}{number + 1}"
        loads = draw(_often((), *((each,) for each in SUBCLASS_ARGUMENTS)))
        own = inheritance if inheritance == "single" else draw(_often("joined", "single"))
        found.append(Entity(sub, key, draw(_columns(f"{sub.lower()}_")), own, parent, arguments=loads))
    parents = [number for number, each in enumerate(found) if each.parent and each.name in {x.parent for x in found}]
    if parents and draw(st.booleans()):
        found[parents[0]] = attrs.evolve(found[parents[0]], abstract=True)
    return found


@st.composite
def _some(draw: st.DrawFn, plain: tuple[str, ...], telling: tuple[str, ...]) -> tuple[str, ...]:
    """Draw up to three arguments that change nothing, and often one that does."""
    most = draw(_often(0, 1, 3))
    found = draw(st.lists(st.sampled_from(plain), unique=True, max_size=most))
    one = draw(st.sampled_from((None, *telling, *(None for _ in telling))))
    return tuple(found if one is None else [*found, one])


def _names(name: str, source: str, target: str) -> tuple[str, str]:
    return f"{name}_{target.lower()}", f"{name}_back_{source.lower()}"


@st.composite
def _end(draw: st.DrawFn, name: str, owner: str, target: str, kind: EndKind) -> End:
    if kind in {"many-to-one", "one-to-one"}:
        arguments = draw(_some(ANY_ARGUMENTS, TO_ONE_ARGUMENTS))
        return End(name, owner, target, kind, draw(st.sampled_from(LAZY_TO_ONE)), arguments=arguments)
    lazy = draw(st.sampled_from(LAZY_COLLECTION))
    ordered = draw(st.booleans())
    as_set = not ordered and lazy not in {"dynamic", "write_only"} and draw(_often(False, True))
    free = ordered or as_set or lazy in {"dynamic", "write_only"}
    possible = COLLECTION_ARGUMENTS if free else COLLECTION_ARGUMENTS + OWN_COLLECTIONS
    arguments = draw(_some(ANY_ARGUMENTS, possible))
    return End(name, owner, target, kind, lazy, ordered, as_set, arguments=arguments)


@st.composite
def _two_ends(
    draw: st.DrawFn, name: str, source: Entity, target: Entity, kinds: tuple[EndKind, EndKind]
) -> tuple[End, End | None]:
    """Draw the way there and perhaps the way back; the two may know of each other, or be mapped apart."""
    there, back = _names(name, source.name, target.name)
    forward = draw(_end(there, source.name, target.name, kinds[0]))
    if not draw(_often(True, False)):
        return attrs.evolve(forward, viewonly=draw(st.booleans()) and forward.populates), None
    backward = draw(_end(back, target.name, source.name, kinds[1]))
    if not ONE_SIDED & {*forward.arguments, *backward.arguments} and draw(_often(True, False)):
        seen_only = backward.populates and draw(_often(False, False, True))  # sync_backref=False
        backward = attrs.evolve(backward, viewonly=seen_only)
        return attrs.evolve(forward, opposite=back), attrs.evolve(backward, opposite=there)
    return forward, attrs.evolve(backward, viewonly=draw(st.booleans()) and backward.populates)


@st.composite
def _kinds_that_refer_to(draw: st.DrawFn, target: Entity) -> list[KeyKind]:
    """Draw kinds of columns that may hold the key of an entity."""
    return [draw(_often(kind, *KEY_KINDS[kind].alike, *KEY_KINDS[kind].elsewhere)) for kind in target.key]


def _are_apart(kinds: list[KeyKind], target: Entity) -> bool:
    return any(kind in KEY_KINDS[key].elsewhere for kind, key in zip(kinds, target.key, strict=True))


@st.composite
def _reference(draw: st.DrawFn, name: str, entities: list[Entity]) -> Reference:
    source, target = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
    unique = draw(_often(False, True))
    composite = len(target.key) > 1
    shared = composite and len(source.key) > 1 and source.key[0] == target.key[0] and draw(st.booleans())
    columns = [f"{name}_{key}" for key in target.key_names]
    if shared:
        columns[0] = source.key_names[0]
    kinds = draw(_kinds_that_refer_to(target))
    if shared:
        kinds[0] = source.key[0]
    apart = _are_apart(kinds, target)
    constrained = not apart and draw(_often(True, False))
    back: EndKind = "one-to-one" if unique else "one-to-many"
    forward, backward = draw(_two_ends(name, source, target, ("many-to-one", back)))
    one_way = backward is not None and backward.opposite is None and draw(_often(False, True))
    return Reference(
        name,
        source.name,
        target.name,
        tuple(columns),
        tuple(kinds),
        nullable=unique or draw(_often(True, True, False)),
        unique=unique,
        promised=unique and draw(st.booleans()),
        constrained=constrained,
        loose=not constrained and not unique,
        deferred=draw(_often(False, True)),
        apart=apart,
        forward=None if one_way else forward,
        backward=backward,
    )


@st.composite
def _association(draw: st.DrawFn, name: str, entities: list[Entity]) -> Association:
    source, target = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
    forward, backward = draw(_two_ends(name, source, target, ("many-to-many", "many-to-many")))
    kinds = draw(_kinds_that_refer_to(source)), draw(_kinds_that_refer_to(target))
    apart = _are_apart(kinds[0], source) or _are_apart(kinds[1], target)
    return Association(
        name,
        source.name,
        target.name,
        *map(tuple, kinds),
        unique=draw(st.booleans()),
        constrained=not apart and draw(st.booleans()),
        apart=apart,
        forward=forward,
        backward=backward,
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Draw one to three entities or inheritance hierarchies, and one to six ways to get from one to another."""
    entities = [entity for name in "ABC"[: draw(st.sampled_from((2, 3, 1)))] for entity in draw(_hierarchy(name))]
    references = [draw(_reference(f"r{number}", entities)) for number in range(draw(st.sampled_from((2, 3, 1, 4))))]
    associations = [draw(_association(f"m{number}", entities)) for number in range(draw(st.sampled_from((1, 0, 2))))]
    return Schema(tuple(entities), tuple(references), tuple(associations), draw(_often(False, True)))
