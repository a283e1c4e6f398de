"""Documents of several tenants whose rows refer to each other without regard to that, and views that reach all of them.

No table has a foreign key to another class in the database, so that rows of other tenants can be deleted: what a fetch
brings then is what it must bring under any filter.
"""

import random
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import attrs
from sqlalchemy import Column, ForeignKey, Index, Integer, Table, UniqueConstraint, func
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from loadplan import LoadPlan, aggregate, count, exists, load, on, source


class Base(DeclarativeBase):
    pass


class Owned:
    """A row that belongs to a tenant."""

    tenant: Mapped[int] = mapped_column()
    label: Mapped[str] = mapped_column()


pairs = Table(
    "vtn_pairs",
    Base.metadata,
    Column("doc_id", Integer, index=True),
    Column("tag_id", Integer),
    UniqueConstraint("doc_id", "tag_id"),
)

loose_pairs = Table("vtn_loose_pairs", Base.metadata, Column("doc_id", Integer, index=True), Column("tag_id", Integer))


class Person(Owned, Base):
    __tablename__ = "vtn_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    boss_id: Mapped[int | None] = mapped_column(index=True)
    boss: Mapped["Person | None"] = relationship(primaryjoin=lambda: foreign(Person.boss_id) == remote(Person.id))
    reports: Mapped[list["Person"]] = relationship(
        primaryjoin=lambda: Person.id == remote(foreign(Person.boss_id)), order_by=id, viewonly=True
    )


class Mark(Owned, Base):
    __tablename__ = "vtn_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(index=True)
    points: Mapped[int]


class Note(Owned, Base):
    __tablename__ = "vtn_notes"
    __table_args__ = (Index("vtn_notes_by_points", "doc_id", "points"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    doc_id: Mapped[int]
    writer_id: Mapped[int | None]
    points: Mapped[int]
    writer: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Note.writer_id) == Person.id)
    marks: Mapped[list[Mark]] = relationship(
        primaryjoin=lambda: Note.id == foreign(Mark.note_id), order_by=Mark.id, viewonly=True
    )


class Tag(Owned, Base):
    __tablename__ = "vtn_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None]
    owner: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Tag.owner_id) == Person.id)


class Media(Owned, Base):
    __tablename__ = "vtn_media"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    doc_id: Mapped[int] = mapped_column(index=True)
    maker_id: Mapped[int | None]
    maker: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Media.maker_id) == Person.id)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "media"}


class Photo(Media):
    __tablename__ = "vtn_photos"
    id: Mapped[int] = mapped_column(ForeignKey("vtn_media.id"), primary_key=True)
    width: Mapped[int]
    model_id: Mapped[int | None]
    model: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Photo.model_id) == Person.id)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "photo"}


class Sound(Media):
    length: Mapped[int | None]
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "sound"}


class Doc(Owned, Base):
    __tablename__ = "vtn_docs"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None]
    reviewer_id: Mapped[int | None]
    parent_id: Mapped[int | None] = mapped_column(index=True)
    author: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Doc.author_id) == Person.id)
    reviewer: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Doc.reviewer_id) == Person.id)
    parent: Mapped["Doc | None"] = relationship(primaryjoin=lambda: foreign(Doc.parent_id) == remote(Doc.id))
    children: Mapped[list["Doc"]] = relationship(
        primaryjoin=lambda: Doc.id == remote(foreign(Doc.parent_id)), order_by=id, viewonly=True
    )
    notes: Mapped[list[Note]] = relationship(
        primaryjoin=lambda: Doc.id == foreign(Note.doc_id), order_by=Note.id, viewonly=True
    )
    loud_notes: Mapped[list[Note]] = relationship(
        primaryjoin=lambda: (Doc.id == foreign(Note.doc_id)) & (Note.points > 1), order_by=Note.id, viewonly=True
    )
    tags: Mapped[list[Tag]] = relationship(
        secondary=pairs,
        primaryjoin=lambda: Doc.id == pairs.c.doc_id,
        secondaryjoin=lambda: Tag.id == pairs.c.tag_id,
        order_by=Tag.id,
        foreign_keys=[pairs.c.doc_id, pairs.c.tag_id],
    )
    loose_tags: Mapped[list[Tag]] = relationship(
        secondary=loose_pairs,
        primaryjoin=lambda: Doc.id == loose_pairs.c.doc_id,
        secondaryjoin=lambda: Tag.id == loose_pairs.c.tag_id,
        order_by=Tag.id,
        foreign_keys=[loose_pairs.c.doc_id, loose_pairs.c.tag_id],
        viewonly=True,
    )
    media: Mapped[list[Media]] = relationship(
        primaryjoin=lambda: Doc.id == foreign(Media.doc_id), order_by=Media.id, viewonly=True
    )
    tag_labels: AssociationProxy[list[str]] = association_proxy("tags", "label")
    author_label: AssociationProxy[str | None] = association_proxy("author", "label")


# --- views ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class PersonRef:
    id: int
    label: str


@attrs.frozen
class PersonView:
    id: int
    label: str
    boss: PersonRef | None
    reports: list[PersonRef]


@attrs.frozen
class MarkView:
    label: str
    points: int


@attrs.frozen
class NoteView:
    id: int
    label: str
    writer: PersonView | None
    marks: list[MarkView]
    total: Annotated[int | None, aggregate(Note.marks, func.sum(Mark.points))]
    mark_count: Annotated[int, count(Note.marks)]
    boss: Annotated[str | None, source(Note.writer, Person.boss, Person.label)]


@attrs.frozen
class TagView:
    label: str
    owner: PersonRef | None


@attrs.frozen
class MediaView:
    id: int
    label: str
    maker: PersonRef | None


@attrs.frozen
class PhotoView:
    id: int
    label: str
    width: int
    model: PersonRef | None


@attrs.frozen
class SoundView:
    label: str
    length: int | None
    maker: PersonRef | None


@attrs.frozen
class ParentView:
    label: str
    notes: list[NoteView]


@attrs.frozen
class FirstNote:
    label: str
    marks: list[MarkView]


@attrs.frozen
class RedNote(FirstNote):
    writer: PersonRef | None


@attrs.frozen
class FirstTag:
    label: str
    owner: PersonRef | None


@attrs.frozen
class DocView:
    """Reads every kind of way."""

    id: int
    label: str
    author: PersonView | None
    reviewer: PersonRef | None
    parent: ParentView | None
    notes: list[NoteView]
    loud_notes: list[NoteView]
    tags: tuple[TagView, ...]
    loose_tags: list[TagView]
    media: list[MediaView | PhotoView | SoundView]
    tag_labels: list[str]
    author_label: str | None
    note_count: Annotated[int, count(Doc.notes)]
    loud_count: Annotated[int, count(Doc.notes, where=Note.points > 1)]
    joined_count: Annotated[int, count(Doc.loud_notes)]
    tag_count: Annotated[int, count(Doc.tags)]
    loose_count: Annotated[int, count(Doc.loose_tags)]
    has_tags: Annotated[bool, exists(Doc.loose_tags)]
    has_author: Annotated[bool, exists(Doc.author)]
    has_notes: Annotated[bool, exists(Doc.notes)]
    top_points: Annotated[int, aggregate(Doc.notes, func.coalesce(func.max(Note.points), 0))]
    labels: Annotated[int, aggregate(Doc.notes, func.count(Note.label.distinct()))]
    photo_count: Annotated[int, count(Doc.media, where=Media.kind == "photo")]
    author_boss: Annotated[str | None, source(Doc.author, Person.boss, Person.label)]
    writers: Annotated[list[str | None], source(Doc.notes, Note.writer, Person.label)]
    parent_notes: Annotated[int | None, source(Doc.parent, count(Doc.notes))]
    first_notes: Annotated[list[FirstNote], load(Doc.notes, order_by=Note.points, limit=2)]
    first_tags: Annotated[list[FirstTag], load(Doc.tags, order_by=Tag.label.desc(), limit=1)]
    first_loose_tags: Annotated[list[FirstTag], load(Doc.loose_tags, order_by=Tag.label.desc(), limit=1)]
    red_notes: Annotated[list[RedNote], load(Doc.notes, where=Note.points == 1)]


@attrs.frozen
class BranchView:
    id: int
    label: str
    author: PersonRef | None
    notes: list[NoteView]
    children: "list[BranchView]" = attrs.field(factory=list)


@attrs.frozen
class ChainView:
    id: int
    label: str
    parent: "ChainView | None" = None


_MEDIA = (on(Photo, into=PhotoView), on(Sound, into=SoundView), on(Media, into=MediaView))

PLANS: Mapping[str, LoadPlan[Any]] = {
    "by rule": LoadPlan(Doc, load(Doc.media, *_MEDIA), into=DocView, name="docs"),
    "nested": LoadPlan(
        Doc,
        load(Doc.media, *_MEDIA, strategy="joined"),
        load(Doc.notes, load(Note.marks, strategy="joined"), strategy="joined", into=NoteView),
        load(Doc.loose_tags, strategy="joined", into=TagView),
        load(Doc.loud_notes, strategy="joined"),
        into=DocView,
        name="docs",
    ),
    "by level": LoadPlan(
        Doc,
        load(Doc.media, *_MEDIA, strategy="selectin"),
        load(Doc.author, load(Person.boss, strategy="selectin"), strategy="selectin"),
        load(Doc.parent, strategy="selectin"),
        into=DocView,
        name="docs",
    ),
    "whole tree": LoadPlan(Doc, load(Doc.children, depth="all"), into=BranchView, name="tree"),
    "three levels": LoadPlan(Doc, load(Doc.children, depth=3), into=BranchView, name="tree"),
    "limited tree": LoadPlan(
        Doc, load(Doc.children, depth="all", order_by=Doc.label, limit=2), into=BranchView, name="tree"
    ),
    "chain": LoadPlan(Doc, load(Doc.parent, depth="all"), into=ChainView, name="chain"),
}


# --- rows -------------------------------------------------------------------------------------------------------------


def random_rows(seed: int, tenants: int = 2) -> dict[Any, list[dict[str, Any]]]:
    """Return rows by table; every reference may lead to a row of any tenant, or nowhere."""
    chance = random.Random(seed)  # noqa: S311 - test data
    found: dict[Any, list[dict[str, Any]]] = {}

    def some(table: Any, number: int, **values: Any) -> None:
        found[table] = []
        for key in range(1, number + 1):
            tenant = chance.randint(1, tenants)
            row = {"id": key, "tenant": tenant, "label": f"t{tenant}-{chance.randint(0, 5)}"}
            found[table].append(row | {name: make(key) for name, make in values.items()})

    def key(bound: int) -> Any:
        return lambda _: chance.choice([None, *range(1, bound + 1)])

    def sure(bound: int) -> Any:
        return lambda _: chance.randint(1, bound)

    some(Person.__table__, 6, boss_id=key(6))
    some(Doc.__table__, 8, author_id=key(6), reviewer_id=key(7), parent_id=lambda number: chance.randint(0, number - 1))
    some(Note.__table__, 14, doc_id=sure(8), writer_id=key(6), points=sure(3))
    some(Mark.__table__, 20, note_id=sure(14), points=sure(9))
    some(Tag.__table__, 4, owner_id=key(6))
    kinds = {"kind": lambda _: chance.choice(["media", "photo", "sound"])}
    some(Media.__table__, 10, doc_id=sure(8), maker_id=key(6), length=key(3), **kinds)
    photos = [row["id"] for row in found[Media.__table__] if row["kind"] == "photo"]
    found[Photo.__table__] = [{"id": each, "width": each, "model_id": key(6)(each)} for each in photos]
    every = [{"doc_id": doc, "tag_id": tag} for doc in range(1, 9) for tag in range(1, 5)]
    found[pairs] = chance.sample(every, 12)
    found[loose_pairs] = [chance.choice(every) for _ in range(18)]
    return found
