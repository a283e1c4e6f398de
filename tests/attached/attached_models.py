"""A studio for the tests of attached graphs: every kind of collection, of keys and of values that a session changes."""

import dataclasses
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, ForeignKeyConstraint, Table, func
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, AsyncSession
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship
from sqlalchemy.orm.collections import attribute_keyed_dict

from loadplan import LoadPlan, load


class Base(AsyncAttrs, DeclarativeBase):
    pass


@dataclasses.dataclass
class Size:
    width: int
    height: int


work_tags = Table(
    "att_work_tags",
    Base.metadata,
    Column("work_id", ForeignKey("att_works.id"), primary_key=True),
    Column("tag_id", ForeignKey("att_tags.id"), primary_key=True),
)


class Artist(Base):
    """The base of an inheritance; a boss makes the graph a cycle."""

    __tablename__ = "att_artists"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="artist")
    biography: Mapped[str] = mapped_column(default="long", deferred=True)
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("att_artists.id"))
    boss: Mapped["Artist | None"] = relationship(remote_side=[id], back_populates="team")
    team: Mapped[list["Artist"]] = relationship(back_populates="boss", order_by=id)
    works: Mapped[list["Work"]] = relationship(
        back_populates="artist", cascade="all, delete-orphan", order_by="Work.id"
    )
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "artist"}


class Sculptor(Artist):
    __tablename__ = "att_sculptors"
    id: Mapped[int] = mapped_column(ForeignKey("att_artists.id"), primary_key=True)
    stone: Mapped[str] = mapped_column(default="marble")
    __mapper_args__ = {"polymorphic_identity": "sculptor"}


class Work(Base):
    """With a version, a value that changes in place, and collections of four kinds."""

    __tablename__ = "att_works"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    notes: Mapped[str] = mapped_column(default="")
    stamp: Mapped[str] = mapped_column(default="new", onupdate=func.lower("CHANGED"))
    artist_id: Mapped[int | None] = mapped_column(ForeignKey("att_artists.id"), index=True)
    details: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    width: Mapped[int] = mapped_column(default=1)
    height: Mapped[int] = mapped_column(default=2)
    version: Mapped[int] = mapped_column()
    size: Mapped[Size] = composite("width", "height")
    artist: Mapped[Artist | None] = relationship(back_populates="works")
    tags: Mapped[set["Tag"]] = relationship(secondary=work_tags, back_populates="works")
    labels: Mapped[dict[str, "Label"]] = relationship(
        collection_class=attribute_keyed_dict("lang"), cascade="all, delete-orphan", back_populates="work"
    )
    steps: Mapped[list["Step"]] = relationship(
        collection_class=ordering_list("position"), order_by="Step.position", cascade="all, delete-orphan"
    )
    sheet: Mapped["Sheet | None"] = relationship(back_populates="work", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}


class Tag(Base):
    __tablename__ = "att_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    works: Mapped[list[Work]] = relationship(secondary=work_tags, back_populates="tags", order_by=Work.id)


class Label(Base):
    __tablename__ = "att_labels"
    work_id: Mapped[int] = mapped_column(ForeignKey("att_works.id"), primary_key=True)
    lang: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    work: Mapped[Work] = relationship(back_populates="labels")
    remarks: Mapped[list["Remark"]] = relationship(
        back_populates="label", cascade="all, delete-orphan", order_by="Remark.id"
    )


class Remark(Base):
    """A child of a composite key."""

    __tablename__ = "att_remarks"
    id: Mapped[int] = mapped_column(primary_key=True)
    work_id: Mapped[int]
    lang: Mapped[str]
    text: Mapped[str]
    label: Mapped[Label] = relationship(back_populates="remarks")
    __table_args__ = (ForeignKeyConstraint(["work_id", "lang"], ["att_labels.work_id", "att_labels.lang"]),)


class Step(Base):
    __tablename__ = "att_steps"
    id: Mapped[int] = mapped_column(primary_key=True)
    work_id: Mapped[int] = mapped_column(ForeignKey("att_works.id"))
    position: Mapped[int]
    text: Mapped[str]


class Sheet(Base):
    __tablename__ = "att_sheets"
    id: Mapped[int] = mapped_column(primary_key=True)
    work_id: Mapped[int] = mapped_column(ForeignKey("att_works.id"), unique=True)
    work: Mapped[Work] = relationship(back_populates="sheet")


WORK_PAGE = LoadPlan(
    Work,
    load(Work.artist, load(Artist.works), only=[Artist.name]),
    load(Work.tags),
    load(Work.labels, load(Label.remarks)),
    load(Work.steps),
    load(Work.sheet),
    name="work page",
)
ARTIST_PAGE = LoadPlan(Artist, load(Artist.works), name="artist page")


async def seed(engine: AsyncEngine) -> None:
    """Fill the tables: Ada leads Bob, a sculptor, and has two works."""
    async with AsyncSession(engine) as session:
        ada, bob = Artist(id=1, name="Ada"), Sculptor(id=2, name="Bob", boss_id=1)
        red, blue = Tag(id=1, name="red"), Tag(id=2, name="blue")
        first = Work(id=1, title="First", details={"a": 1}, artist=ada, tags={red, blue}, sheet=Sheet(id=1))
        first.labels = {
            "de": Label(lang="de", text="Erstes", remarks=[Remark(id=1, text="gut")]),
            "en": Label(lang="en", text="First"),
        }
        first.steps = [Step(id=1, text="sketch"), Step(id=2, text="paint")]
        second = Work(id=2, title="Second", artist=ada, tags={red})
        third = Work(id=3, title="Third", artist=bob)
        session.add_all([ada, bob, first, second, third])
        await session.commit()
