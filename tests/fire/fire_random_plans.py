"""Random plans over the documents of :mod:`fire_tenants`: entities and views, nested, filtered, limited, trees, unions.

Everything goes by a seeded ``random.Random``, so that a case is found again by its number.
"""

import itertools
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import attrs
from fire_tenants import Doc, Mark, Media, Note, Person, Photo, Sound, Tag
from sqlalchemy import func

from loadplan import Load, LoadPlan, PlanError, aggregate, count, exists, load, on, source

Make: TypeAlias = Any

#: By class: its relationships to one row, to many, and to itself.
TO_ONE: dict[type[Any], dict[str, type[Any]]] = {
    Doc: {"author": Person, "reviewer": Person, "parent": Doc},
    Note: {"writer": Person, "doc": Doc},
    Person: {"boss": Person},
    Tag: {"owner": Person},
    Media: {"maker": Person},
    Photo: {"model": Person, "maker": Person},
    Sound: {"maker": Person},
    Mark: {},
}
TO_MANY: dict[type[Any], dict[str, type[Any]]] = {
    Doc: {
        "children": Doc,
        "notes": Note,
        "loud_notes": Note,
        "tags": Tag,
        "loose_tags": Tag,
        "media": Media,
    },
    Note: {"marks": Mark},
    Person: {"reports": Person},
}
TREES = {(Doc, "children"), (Doc, "parent"), (Person, "boss"), (Person, "reports")}

#: Levels of relationships, and how many there are in all.
DEPTH, WIDTH = 4, 9

_numbers = itertools.count()


@attrs.define
class Budget:
    """Relationships that a plan may still have."""

    left: int = WIDTH


def random_plan(chance: random.Random, kind: Literal["entities", "views"]) -> LoadPlan[Any]:
    """Return a plan of documents that resolves; what cannot hold together is drawn again."""
    while True:
        try:
            if kind == "views":
                return LoadPlan(Doc, into=view_of(chance, Doc, DEPTH, Budget()), name="random view")
            return LoadPlan(Doc, *entity_loads(chance, Doc, DEPTH, Budget()), name="random entities")
        except PlanError:  # one collection over two paths with different rows, say
            continue


def narrowed(chance: random.Random, plan: LoadPlan[Any]) -> LoadPlan[Any]:
    """Return the part of a plan that names from outside ask for."""
    if plan.into is not None:
        names = [each.name for each in attrs.fields(plan.into) if each.name not in {"id", "label"}]
    else:
        names = list(_paths(plan.loads))
    wanted = ["id", "label", *(each for each in names if chance.random() < 0.5)]
    return plan.narrowed_to(wanted) if chance.random() < 0.5 else LoadPlan.for_paths(Doc, wanted, allowed=plan)


def _paths(loads: Sequence[Any]) -> Iterator[str]:
    for each in loads:
        if isinstance(each, Load):
            yield each.relationship.key
            yield from (f"{each.relationship.key}.{below}" for below in _paths(each.loads))


def _drawn(chance: random.Random, owner: type[Any], depth: int, budget: Budget) -> list[tuple[str, type[Any], bool]]:
    """Return relationships of a class: name, target, whether it leads to one row."""
    if not depth:
        return []
    every = [(name, target, True) for name, target in TO_ONE[owner].items()]
    every += [(name, target, False) for name, target in TO_MANY.get(owner, {}).items()]
    number = min(chance.choice([2, 3, 4] if depth == DEPTH else [0, 1, 1, 2]), budget.left, len(every))
    budget.left -= number
    return chance.sample(every, number)


def _shape(chance: random.Random, target: type[Any], *, to_one: bool) -> dict[str, Any]:
    """Return ``where``, ``order_by`` and ``limit`` of a relationship, or some of them, or none."""
    shape: dict[str, Any] = {}
    if chance.random() < 0.25:
        shape["where"] = chance.choice([target.id > 2, target.label != "t1-0", target.label.like("t%-_")])
    if not to_one and chance.random() < 0.4:
        order = [target.label, target.label.desc(), target.id.desc(), target.tenant]
        order += [Note.points, Note.points.desc(), Note.double] if target is Note else []
        shape["order_by"] = chance.choice(order)
        if chance.random() < 0.7:
            shape["limit"] = chance.randint(1, 3)
    return shape


# --- entities -------------------------------------------------------------------------------------------------------


def entity_loads(chance: random.Random, owner: type[Any], depth: int, budget: Budget) -> list[Any]:
    """Return loads, and branches, below a class."""
    found: list[Any] = []
    for name, target, to_one in _drawn(chance, owner, depth, budget):
        shape = _shape(chance, target, to_one=to_one)
        strategies = [None, None, "selectin", "joined", *([] if "limit" in shape else ["subquery"])]
        if "limit" not in shape:
            shape["strategy"] = chance.choice(strategies)
        if (owner, name) in TREES and chance.random() < 0.6:
            shape["depth"] = chance.choice(["all", 2, 3])
            shape.pop("strategy", None)
        if chance.random() < 0.2:
            shape["only"] = [target.label]
        below = entity_loads(chance, target, depth - 1, budget)
        if target is Media and chance.random() < 0.6:
            below.append(on(Photo, load(Photo.model)))
        found.append(load(getattr(owner, name), *below, **shape))
    return found


# --- views ----------------------------------------------------------------------------------------------------------


def view_of(chance: random.Random, owner: type[Any], depth: int, budget: Budget) -> type[Any]:
    """Return a class with fields for columns, relationships, aggregates and paths of a mapped class."""
    name = f"View{next(_numbers)}"
    fields: dict[str, Any] = {"id": int, "label": str}
    fields |= _own_fields(chance, owner)
    for key, target, to_one in _drawn(chance, owner, depth, budget):
        fields[key] = _related(chance, owner, key, target, name, depth, budget, to_one=to_one)
    made = attrs.make_class(name, {key: attrs.field(type=kind) for key, kind in fields.items()}, frozen=True)
    made.__module__ = __name__
    setattr(sys.modules[__name__], name, made)  # where a tree finds its own name
    return made


def forget_views() -> None:
    """Let go of the classes that were made."""
    for name in [each for each in vars(sys.modules[__name__]) if each.startswith("View")]:
        delattr(sys.modules[__name__], name)


def _related(
    chance: random.Random,
    owner: type[Any],
    key: str,
    target: type[Any],
    name: str,
    depth: int,
    budget: Budget,
    *,
    to_one: bool,
) -> Any:
    attribute, shape = getattr(owner, key), _shape(chance, target, to_one=to_one)
    shape["strategy"] = chance.choice([None, None, "joined", "selectin"])
    if (owner, key) in TREES and chance.random() < 0.7:
        shape.pop("strategy")
        annotation = f"{name} | None" if to_one else f"list[{name}]"
        default = "= None" if to_one else ""
        del default
        return Annotated[annotation, load(attribute, depth="all", **shape)]  # type: ignore[valid-type]
    if target is Media:
        members = [view_of(chance, each, depth - 1, budget) for each in (Photo, Sound, Media)]
        branches = [on(each, into=member) for each, member in zip((Photo, Sound, Media), members, strict=True)]
        union: Any = members[0] | members[1] | members[2]
        return Annotated[list[union], load(attribute, *branches, **shape)]
    below: Any = view_of(chance, target, depth - 1, budget)
    return Annotated[below | None if to_one else list[below], load(attribute, **shape)]  # type: ignore[valid-type]


def _own_fields(chance: random.Random, owner: type[Any]) -> dict[str, Any]:
    """Return fields that are values: columns, proxies, aggregates, paths."""
    every: dict[str, Any] = {}
    if owner is Doc:
        every = {
            "rank": int | None,
            "tag_labels": list[str],
            "author_label": str | None,
            "note_count": Annotated[int, count(Doc.notes)],
            "loud_count": Annotated[int, count(Doc.notes, where=Note.points > 1)],
            "tag_count": Annotated[int, count(Doc.tags)],
            "loose_count": Annotated[int, count(Doc.loose_tags)],
            "media_count": Annotated[int, count(Doc.media)],
            "child_count": Annotated[int, count(Doc.children)],
            "has_tags": Annotated[bool, exists(Doc.loose_tags)],
            "has_author": Annotated[bool, exists(Doc.author)],
            "has_loud": Annotated[bool, exists(Doc.loud_notes)],
            "top": Annotated[int | None, aggregate(Doc.notes, func.max(Note.points))],
            "first_label": Annotated[str | None, aggregate(Doc.notes, func.min(Note.label))],
            "worst_tag": Annotated[str | None, aggregate(Doc.tags, func.max(Tag.label))],
            "author_boss": Annotated[str | None, source(Doc.author, Person.boss, Person.label)],
            "parent_author": Annotated[str | None, source(Doc.parent, Doc.author, Person.label)],
            "writers": Annotated[list[str | None], source(Doc.notes, Note.writer, Person.label)],
            "owners": Annotated[list[str | None], source(Doc.loose_tags, Tag.owner, Person.label)],
            "parent_notes": Annotated[int | None, source(Doc.parent, count(Doc.notes))],
        }
    elif owner is Note:
        every = {
            "points": int,
            "double": int,
            "mark_count": Annotated[int, count(Note.marks)],
            "best": Annotated[int | None, aggregate(Note.marks, func.max(Mark.points))],
            "boss": Annotated[str | None, source(Note.writer, Person.boss, Person.label)],
            "author": Annotated[str | None, source(Note.doc, Doc.author, Person.label)],
        }
    elif owner is Person:
        every = {
            "loud": str,
            "report_count": Annotated[int, count(Person.reports)],
            "boss_label": Annotated[str | None, source(Person.boss, Person.label)],
            "has_reports": Annotated[bool, exists(Person.reports)],
        }
    elif owner is Photo:
        every = {"width": int, "model_label": Annotated[str | None, source(Photo.model, Person.label)]}
    elif owner is Tag:
        every = {"owner_label": Annotated[str | None, source(Tag.owner, Person.label)]}
    return dict(chance.sample(sorted(every.items(), key=lambda item: item[0]), min(len(every), chance.randint(0, 4))))
