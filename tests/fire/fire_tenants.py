"""Documents of two tenants whose rows refer to each other without regard to that, and what a fetch of them is made of.

No table but that of photos refers to another by a constraint, so that the rows of one tenant can stand alone: what a
fetch brings there is what it must bring where the other tenant's rows are hidden.
"""

import random
from typing import Any, ClassVar

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, UniqueConstraint
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, foreign, mapped_column, relationship, remote

#: Rows of this tenant may be seen; those of the other one say so in their labels.
OURS = 1


class Base(DeclarativeBase):
    pass


class Owned:
    """A row that belongs to a tenant."""

    tenant: Mapped[int] = mapped_column()
    label: Mapped[str] = mapped_column()


pairs = Table(
    "fire_t_pairs",
    Base.metadata,
    Column("doc_id", Integer, index=True),
    Column("tag_id", Integer),
    UniqueConstraint("doc_id", "tag_id"),
)
loose_pairs = Table(
    "fire_t_loose_pairs", Base.metadata, Column("doc_id", Integer, index=True), Column("tag_id", Integer)
)


class Person(Owned, Base):
    """A tree of people: each has a boss, perhaps of the other tenant."""

    __tablename__ = "fire_t_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    boss_id: Mapped[int | None] = mapped_column(index=True)
    boss: Mapped["Person | None"] = relationship(primaryjoin=lambda: foreign(Person.boss_id) == remote(Person.id))
    reports: Mapped[list["Person"]] = relationship(
        primaryjoin=lambda: Person.id == remote(foreign(Person.boss_id)), order_by=id, viewonly=True
    )

    @hybrid_property
    def loud(self) -> str:
        return self.label + "!"


class Mark(Owned, Base):
    __tablename__ = "fire_t_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int]
    points: Mapped[int]


class Note(Owned, Base):
    __tablename__ = "fire_t_notes"
    __table_args__ = (Index("fire_t_notes_by_points", "doc_id", "points"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    doc_id: Mapped[int]
    writer_id: Mapped[int | None]
    points: Mapped[int]
    double: ClassVar[Any]
    doc: Mapped["Doc | None"] = relationship(primaryjoin=lambda: foreign(Note.doc_id) == Doc.id, back_populates="notes")
    writer: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Note.writer_id) == Person.id)
    marks: Mapped[list[Mark]] = relationship(
        primaryjoin=lambda: Note.id == foreign(Mark.note_id), order_by=Mark.id, viewonly=True
    )


Note.double = column_property(Note.points * 2)


class Tag(Owned, Base):
    __tablename__ = "fire_t_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None]
    owner: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Tag.owner_id) == Person.id)


class Media(Owned, Base):
    """The root of an inheritance: photos have a table of their own, sounds have not."""

    __tablename__ = "fire_t_media"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    doc_id: Mapped[int] = mapped_column(index=True)
    maker_id: Mapped[int | None]
    maker: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Media.maker_id) == Person.id)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "media"}


class Photo(Media):
    __tablename__ = "fire_t_photos"
    id: Mapped[int] = mapped_column(ForeignKey("fire_t_media.id"), primary_key=True)
    model_id: Mapped[int | None]
    width: Mapped[int]
    model: Mapped[Person | None] = relationship(primaryjoin=lambda: foreign(Photo.model_id) == Person.id)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "photo"}


class Sound(Media):
    length: Mapped[int | None]
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "sound"}


class Doc(Owned, Base):
    __tablename__ = "fire_t_docs"
    id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int | None]
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
        primaryjoin=lambda: Doc.id == foreign(Note.doc_id), order_by=Note.id, back_populates="doc"
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


#: Docs there are.
DOCS = 9


def random_rows(chance: random.Random) -> dict[Table, list[dict[str, Any]]]:
    """Return rows by table; every reference may lead to a row of any tenant, or nowhere.

    A parent's id is less than its child's: views of a whole tree cannot be cycles.
    """
    found: dict[Any, list[dict[str, Any]]] = {}

    def some(table: Any, number: int, **values: Any) -> None:
        rows = found[table] = []
        for key in range(1, number + 1):
            tenant = chance.randint(1, 2)
            row = {"id": key, "tenant": tenant, "label": f"t{tenant}-{chance.randint(0, 5)}"}
            rows.append(row | {name: make(key) for name, make in values.items()})

    def key(bound: int) -> Any:
        return lambda _: chance.choice([None, *range(1, bound + 1)])

    def sure(bound: int) -> Any:
        return lambda _: chance.randint(1, bound)

    def above(number: int) -> int | None:
        return chance.choice([None, *range(number)])

    some(Person.__table__, 7, boss_id=above)
    some(Doc.__table__, DOCS, rank=key(3), author_id=key(7), reviewer_id=key(8), parent_id=above)
    some(Note.__table__, 18, doc_id=sure(DOCS), writer_id=key(7), points=sure(3))
    some(Mark.__table__, 24, note_id=sure(18), points=sure(9))
    some(Tag.__table__, 5, owner_id=key(7))
    kinds = {"kind": lambda _: chance.choice(["media", "photo", "sound"])}
    some(Media.__table__, 14, doc_id=sure(DOCS), maker_id=key(7), length=key(3), **kinds)
    photos = [row["id"] for row in found[Media.__table__] if row["kind"] == "photo"]
    found[Photo.__table__] = [{"id": each, "width": each, "model_id": key(7)(each)} for each in photos]
    every = [{"doc_id": doc, "tag_id": tag} for doc in range(1, DOCS + 1) for tag in range(1, 6)]
    found[pairs] = chance.sample(every, 16)
    found[loose_pairs] = [chance.choice(every) for _ in range(22)]
    return found


def ours_alone(rows: dict[Table, list[dict[str, Any]]]) -> dict[Table, list[dict[str, Any]]]:
    """Return the rows of our tenant, and those that belong to none."""
    kept = {table: [row for row in found if row.get("tenant", OURS) == OURS] for table, found in rows.items()}
    media = {row["id"] for row in kept[Media.__table__]}
    kept[Photo.__table__] = [row for row in kept[Photo.__table__] if row["id"] in media]
    return kept
