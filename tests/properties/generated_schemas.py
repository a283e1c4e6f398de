"""Random schemas as plain descriptions: which entities there are, and how they refer to each other.

Nothing here is SQLAlchemy's: :mod:`generated_mappings` makes classes of a description, :mod:`generated_rows` data.
"""

import os
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import attrs
from hypothesis import strategies as st

KeyKind: TypeAlias = Literal["integer", "text", "uuid", "own"]
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

#: Further arguments of ``relationship()``: of a to-one, and of a collection that a plan may load.
TO_ONE_ARGUMENTS = ("passive_deletes",)
COLLECTION_ARGUMENTS = ("passive_deletes", "whole_join", "keyed")

#: Arguments that the engine does not serve yet. They are drawn with ``LOADPLAN_PROPERTY_ALL`` in the environment.
AWAITED_TO_ONE_ARGUMENTS = ("constant", "innerjoin", "ordered_to_one")
if "LOADPLAN_PROPERTY_ALL" in os.environ:
    TO_ONE_ARGUMENTS += AWAITED_TO_ONE_ARGUMENTS
    COLLECTION_ARGUMENTS = ("constant", *COLLECTION_ARGUMENTS)

#: What each kind of relationship may be mapped with; plans must not care.
LAZY_TO_ONE = ("select", "joined", "selectin", "subquery", "immediate", "raise", "raise_on_sql", "noload")
LAZY_COLLECTION = (*LAZY_TO_ONE, "dynamic", "write_only")


@attrs.frozen
class Column:
    """A column of an entity that is no key."""

    name: str
    kind: Literal["integer", "text", "computed"]
    deferred: bool


@attrs.frozen
class Entity:
    """A mapped class: of its own, the root of an inheritance, or a subclass of ``parent``."""

    name: str
    key: tuple[KeyKind, ...]
    columns: tuple[Column, ...]
    inheritance: Literal["single", "joined"] | None = None
    parent: str | None = None

    @property
    def key_names(self) -> tuple[str, ...]:
        return KEY_NAMES[: len(self.key)]


@attrs.frozen
class End:
    """One relationship: an attribute of ``owner`` that leads to ``target``.

    ``opposite`` is the name in ``back_populates``. ``arguments`` are further ones: ``innerjoin``;
    ``ordered_to_one``, an ``order_by`` that means nothing; ``passive_deletes``;
    ``constant``, a join that asks for a rank of the target;
    ``whole_join``, ``omit_join=False``; ``keyed``, a dictionary by primary key.
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
        nullable: whether a row may refer to nothing.
        unique: whether at most one row refers to a target: the way back is one-to-one.
        promised: whether a unique constraint says so too.
        constrained: whether the database holds the rows to it.
        loose: whether rows may refer to what is not there, or is of another subclass.
        deferred: whether the mapping defers the columns.
    """

    name: str
    source: str
    target: str
    columns: tuple[str, ...]
    nullable: bool
    unique: bool
    promised: bool
    constrained: bool
    loose: bool
    deferred: bool
    forward: End | None
    backward: End | None

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns that are not part of the source's own key."""
        return tuple(name for name in self.columns if name not in KEY_NAMES)


@attrs.frozen
class Association:
    """A table of pairs between ``source`` and ``target``; the same pair may stand in it twice unless ``unique``."""

    name: str
    source: str
    target: str
    unique: bool
    constrained: bool
    forward: End
    backward: End | None


@attrs.frozen
class Schema:
    """Everything that is mapped."""

    entities: tuple[Entity, ...]
    references: tuple[Reference, ...]
    associations: tuple[Association, ...]

    def __str__(self) -> str:
        return "\n".join(map(repr, (*self.entities, *self.references, *self.associations)))

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

    def required(self, name: str) -> set[str]:
        """Return the columns that come whatever a plan says: the key and the discriminator."""
        entity = self.entity(name)
        return {*entity.key_names, *(["kind"] if entity.inheritance else [])}

    def columns(self, name: str) -> dict[str, bool]:
        """Return every column attribute of an entity, and whether the mapping loads it by itself."""
        found = dict.fromkeys(sorted(self.required(name)), True)
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
    return tuple(found)


@st.composite
def _hierarchy(draw: st.DrawFn, name: str) -> list[Entity]:
    key = draw(st.sampled_from(KEYS))
    inheritance = draw(st.sampled_from([None, None, "single", "joined"]))
    found = [Entity(name, key, draw(_columns("")), inheritance)]
    for number in range(draw(st.integers(1, 2)) if inheritance else 0):
        parent = draw(st.sampled_from(found)).name
        sub = f"{name}{number + 1}"
        found.append(Entity(sub, key, draw(_columns(f"{sub.lower()}_")), inheritance, parent))
    return found


def _names(name: str, source: str, target: str) -> tuple[str, str]:
    return f"{name}_{target.lower()}", f"{name}_back_{source.lower()}"


@st.composite
def _end(draw: st.DrawFn, name: str, owner: str, target: str, kind: EndKind) -> End:
    if kind in {"many-to-one", "one-to-one"}:
        arguments = draw(_arguments(TO_ONE_ARGUMENTS))
        return End(name, owner, target, kind, draw(st.sampled_from(LAZY_TO_ONE)), arguments=arguments)
    lazy = draw(st.sampled_from(LAZY_COLLECTION))
    ordered = draw(st.booleans())
    as_set = not ordered and lazy not in {"dynamic", "write_only"} and draw(_often(False, True))
    free = ordered or as_set or lazy in {"dynamic", "write_only"}
    arguments = draw(_arguments(COLLECTION_ARGUMENTS[:-1] if free else COLLECTION_ARGUMENTS))
    return End(name, owner, target, kind, lazy, ordered, as_set, arguments=arguments)


def _arguments(possible: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return _often((), *(((each,)) for each in possible))


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
    if not {"constant"} & {*forward.arguments, *backward.arguments} and draw(_often(True, False)):
        return attrs.evolve(forward, opposite=back), attrs.evolve(backward, opposite=there)
    return forward, attrs.evolve(backward, viewonly=draw(st.booleans()) and backward.populates)


@st.composite
def _reference(draw: st.DrawFn, name: str, entities: list[Entity]) -> Reference:
    source, target = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
    unique = draw(_often(False, True))
    composite = len(target.key) > 1
    shared = composite and len(source.key) > 1 and source.key[0] == target.key[0] and draw(st.booleans())
    columns = [f"{name}_{key}" for key in target.key_names]
    if shared:
        columns[0] = source.key_names[0]
    constrained = draw(_often(True, False))
    back: EndKind = "one-to-one" if unique else "one-to-many"
    forward, backward = draw(_two_ends(name, source, target, ("many-to-one", back)))
    one_way = backward is not None and backward.opposite is None and draw(_often(False, True))
    return Reference(
        name,
        source.name,
        target.name,
        tuple(columns),
        nullable=unique or draw(_often(True, True, False)),
        unique=unique,
        promised=unique and draw(st.booleans()),
        constrained=constrained,
        loose=not constrained and not unique,
        deferred=draw(_often(False, True)),
        forward=None if one_way else forward,
        backward=backward,
    )


@st.composite
def _association(draw: st.DrawFn, name: str, entities: list[Entity]) -> Association:
    source, target = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
    forward, backward = draw(_two_ends(name, source, target, ("many-to-many", "many-to-many")))
    return Association(name, source.name, target.name, draw(st.booleans()), draw(st.booleans()), forward, backward)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Draw one to three entities or inheritance hierarchies, and one to six ways to get from one to another."""
    entities = [entity for name in "ABC"[: draw(st.sampled_from((2, 3, 1)))] for entity in draw(_hierarchy(name))]
    references = [draw(_reference(f"r{number}", entities)) for number in range(draw(st.sampled_from((2, 3, 1, 4))))]
    associations = [draw(_association(f"m{number}", entities)) for number in range(draw(st.sampled_from((1, 0, 2))))]
    return Schema(tuple(entities), tuple(references), tuple(associations))
