"""Keys that Python cannot compare as a part of composite keys, under inheritance, and beside ordinary keys."""

from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from real import filled
from sqlalchemy import ForeignKey, ForeignKeyConstraint
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load, on


class Code:
    """Equal to itself alone."""

    def __init__(self, text: str) -> None:
        self.text = text


class Coded(sa.TypeDecorator[Code]):
    impl = sa.String(9)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return getattr(value, "text", value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Code(value)


class Words(sa.types.UserDefinedType[list[str]]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(20)"

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: None if value is None else value.split()

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else " ".join(value)


class Base(DeclarativeBase):
    pass


class Place(Base):
    """Three parts: a number, an object, a list."""

    __tablename__ = "parted_places"
    shelf: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[Code] = mapped_column(Coded, primary_key=True)
    words: Mapped[list[str]] = mapped_column(Words, primary_key=True)
    things: Mapped[list["Thing"]] = relationship(order_by="Thing.name", back_populates="place")


class Thing(Base):
    """A key of objects, joined subclasses, and a tree."""

    __tablename__ = "parted_things"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "thing"}
    __table_args__ = (ForeignKeyConstraint(["shelf", "code", "words"], [Place.shelf, Place.code, Place.words]),)
    id: Mapped[Code] = mapped_column(Coded, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(9))
    name: Mapped[str] = mapped_column(sa.String(9))
    shelf: Mapped[int | None]
    code: Mapped[Code | None] = mapped_column(Coded)
    words: Mapped[list[str] | None] = mapped_column(Words)
    box_id: Mapped[Code | None] = mapped_column(Coded, ForeignKey("parted_things.id"))
    place: Mapped[Place | None] = relationship(back_populates="things")
    inside: Mapped[list["Thing"]] = relationship(order_by=name, back_populates="box")
    box: Mapped["Thing | None"] = relationship(back_populates="inside", remote_side=[id])


class Tool(Thing):
    __tablename__ = "parted_tools"
    __mapper_args__ = {"polymorphic_identity": "tool"}
    id: Mapped[Code] = mapped_column(Coded, ForeignKey(Thing.id), primary_key=True)
    use: Mapped[str] = mapped_column(sa.String(9))
    marks: Mapped[list["Mark"]] = relationship(order_by="Mark.id")


class Mark(Base):
    """An ordinary key, and a foreign key of objects."""

    __tablename__ = "parted_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    tool_id: Mapped[Code] = mapped_column(Coded, ForeignKey(Tool.id))


def _rows() -> list[str]:
    return [
        "INSERT INTO parted_places VALUES (1, 'a', 'x y'), (1, 'a', 'x z'), (1, 'b', 'x y')",
        "INSERT INTO parted_things (id, kind, name, shelf, code, words, box_id) VALUES "
        "('1', 'thing', 'box', 1, 'a', 'x y', NULL), ('2', 'tool', 'hammer', 1, 'a', 'x y', '1'), "
        "('3', 'tool', 'saw', 1, 'b', 'x y', '1'), ('4', 'thing', 'nail', NULL, NULL, NULL, '2')",
        "INSERT INTO parted_tools VALUES ('2', 'hit'), ('3', 'cut')",
        "INSERT INTO parted_marks VALUES (1, '2'), (2, '2'), (3, '3')",
    ]


@pytest.mark.parametrize("strategy", ["selectin", "joined", "subquery"])
async def test_parts_of_a_composite_key(engine: AsyncEngine, strategy: Any) -> None:
    """All three parts together tell whose row it is."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        plan = LoadPlan(Place, load(Place.things, strategy=strategy))
        places = await loader.fetch_all(plan, order_by=[Place.shelf, Place.code, Place.words])
        assert [[each.name for each in place.things] for place in places] == [["box", "hammer"], [], ["saw"]]
        assert places[0].things[0].place is places[0]
        things = await loader.fetch_all(LoadPlan(Thing, load(Thing.place, strategy=strategy)), order_by=Thing.name)
        assert [each.place and each.place.code.text for each in things] == ["a", "a", None, "b"]
        assert things[0].place is things[1].place


async def test_ids_and_pages_of_a_composite_key(engine: AsyncEngine) -> None:
    """Each id is new objects. A page ends between rows that have all but one part in common."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        plan = LoadPlan(Place, load(Place.things))
        ids = [(1, Code("b"), ["x", "y"]), (1, Code("a"), ["x", "z"]), (2, Code("a"), ["x", "y"])]
        found = await loader.fetch_many(plan, ids, missing="skip")
        assert [[each.name for each in place.things] for place in found] == [["saw"], []]
        seen, cursor = [], None
        for _ in range(3):
            page = await loader.fetch_page(plan, order_by=Place.shelf, size=1, after=cursor)
            seen += [(each.code.text, *each.words) for each in page.items]
            cursor = page.next
        assert (sorted(seen), cursor) == ([("a", "x", "y"), ("a", "x", "z"), ("b", "x", "y")], None)


async def test_under_inheritance_and_in_a_tree(engine: AsyncEngine) -> None:
    """A row is one object at every place, of its own class, with what the subclass adds."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        marked = on(Tool, load(Tool.marks))
        plan = LoadPlan(Thing, marked, load(Thing.inside, marked), load(Thing.box))
        things = {each.name: each for each in await loader.fetch_all(plan)}
        assert [each.name for each in things["box"].inside] == ["hammer", "saw"]
        assert things["box"].inside[0] is things["hammer"]
        assert things["nail"].box is things["hammer"]
        hammer = things["hammer"]
        assert isinstance(hammer, Tool)
        assert (hammer.use, [each.id for each in hammer.marks]) == ("hit", [1, 2])
        tree = await loader.fetch(LoadPlan(Thing, load(Thing.inside, depth="all")), Code("1"))
        assert [[each.name for each in below.inside] for below in tree.inside] == [["nail"], []]


@attrs.frozen
class MarkLine:
    """A mark of a tool."""

    id: int


@attrs.frozen
class ToolLine:
    """A tool with its marks."""

    name: str
    marks: list[MarkLine]


async def test_views_under_inheritance(engine: AsyncEngine) -> None:
    """Views of a subclass, for many roots and for one."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        plan = LoadPlan(Tool, into=ToolLine)
        expected = [ToolLine("hammer", [MarkLine(1), MarkLine(2)]), ToolLine("saw", [MarkLine(3)])]
        assert await loader.fetch_all(plan, order_by=Tool.name) == expected
        assert await loader.fetch(plan, Code("3")) == expected[1]


def test_ordinary_keys_select_nothing_more() -> None:
    """A key of the usual types takes no further column and no cast."""
    from sqlalchemy.ext.asyncio import create_async_engine

    class Usual(DeclarativeBase):
        pass

    letters = sa.Enum("a", "b", name="usual")
    kinds = [sa.Integer(), sa.String(9), sa.Uuid(), sa.Date(), sa.Boolean(), sa.LargeBinary(9), letters]
    loader = Loader(create_async_engine("postgresql+asyncpg://nobody@nowhere/none"))
    for number, kind in enumerate(kinds):
        parent = type(
            f"Parent{number}",
            (Usual,),
            {"__tablename__": f"usual_{number}", "id": mapped_column(kind, primary_key=True)},
        )
        kid = type(
            f"Kid{number}",
            (Usual,),
            {
                "__tablename__": f"usual_kid_{number}",
                "id": mapped_column(sa.Integer, primary_key=True),
                "parent_id": mapped_column(kind, ForeignKey(f"usual_{number}.id")),
                "parent": relationship(parent, backref="kids"),
            },
        )
        root, below = loader.explain(LoadPlan(parent, load("kids"), only=[parent.id]), roots=None).sql
        assert root.sql.split("FROM")[0].split() == ["SELECT", f"usual_{number}.id"]
        assert "loadplan_id" not in below.sql
        assert "CAST" not in below.sql
        assert kid.parent.property.mapper.class_ is parent
