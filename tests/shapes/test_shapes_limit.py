"""``limit=`` per parent: the right rows, one statement, LATERAL where an index serves, else the window function."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    and_,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    foreign,
    mapped_column,
    query_expression,
    relationship,
)

from loadplan import Loader, LoadPlan, load
from support import by_keys, recording, tables


class Base(DeclarativeBase):
    pass


links = Table(
    "shl_links",
    Base.metadata,
    Column("box_id", ForeignKey("shl_boxes.id")),
    Column("thing_id", ForeignKey("shl_things.id")),
    Column("pos", Integer),
)


class Box(Base):
    __tablename__ = "shl_boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list["Thing"]] = relationship(secondary=links)
    numbered: Mapped[list["Numbered"]] = relationship()
    indexed: Mapped[list["Indexed"]] = relationship()
    odd: Mapped[list["Odd"]] = relationship()
    animals: Mapped[list["Animal"]] = relationship(order_by="Animal.id.desc()")
    dogs: Mapped[list["Dog"]] = relationship(viewonly=True)
    counted: Mapped[list["Counted"]] = relationship()


class Thing(Base):
    __tablename__ = "shl_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Numbered(Base):
    """Columns named as the library might name its own."""

    __tablename__ = "shl_numbered"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("shl_boxes.id"))
    number: Mapped[int]


class Odd(Base):
    """Columns that the library's own labels are named like."""

    __tablename__ = "shl_odd"
    __table_args__ = (Index("shl_odd_by_box", "box_id", "score"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("shl_boxes.id"))
    score: Mapped[int]
    parent_0: Mapped[int]
    order_0: Mapped[int]
    key_0: Mapped[int]
    target_0: Mapped[int]
    loadplan_order_0: Mapped[int]


class Indexed(Base):
    """The same, with an index that serves."""

    __tablename__ = "shl_indexed"
    __table_args__ = (Index("shl_indexed_by_box", "box_id", "score"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("shl_boxes.id"))
    score: Mapped[int]
    kind: Mapped[str]
    doubled: Mapped[int | None] = query_expression()
    label: Mapped["Label | None"] = relationship(
        primaryjoin=lambda: and_(Indexed.id == foreign(Label.indexed_id), Indexed.kind == "labelled"),
        viewonly=True,
        uselist=False,
    )


class Label(Base):
    __tablename__ = "shl_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    indexed_id: Mapped[int] = mapped_column(unique=True)


class Animal(Base):
    __tablename__ = "shl_animals"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    box_id: Mapped[int] = mapped_column(ForeignKey("shl_boxes.id"))


class Dog(Animal):
    __tablename__ = "shl_dogs"
    __mapper_args__ = {"polymorphic_identity": "dog"}
    id: Mapped[int] = mapped_column(ForeignKey("shl_animals.id"), primary_key=True)
    loudness: Mapped[int]


class Part(Base):
    __tablename__ = "shl_parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    counted_id: Mapped[int] = mapped_column(ForeignKey("shl_counted.id"))


class Counted(Base):
    __tablename__ = "shl_counted"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("shl_boxes.id"))
    all_parts: Mapped[list[Part]] = relationship(order_by=Part.id)
    parts: Mapped[int] = column_property(
        select(func.count(Part.id)).where(Part.counted_id == id).correlate_except(Part).scalar_subquery()
    )


class Plot(Base):
    __tablename__ = "shl_plots"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[str] = mapped_column(primary_key=True)
    trees: Mapped[list["Tree"]] = relationship()
    shrubs: Mapped[list["Shrub"]] = relationship()


class Tree(Base):
    __tablename__ = "shl_trees"
    __table_args__ = (
        ForeignKeyConstraint(["px", "py"], ["shl_plots.x", "shl_plots.y"]),
        Index("shl_trees_height", "px", "py", "height"),
    )
    a: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    px: Mapped[int]
    py: Mapped[str]
    height: Mapped[int]


class Shrub(Base):
    __tablename__ = "shl_shrubs"
    __table_args__ = (
        ForeignKeyConstraint(["px", "py"], ["shl_plots.x", "shl_plots.y"]),
        UniqueConstraint("px", "py", "height", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    px: Mapped[int]
    py: Mapped[str]
    height: Mapped[int]


@pytest.fixture
async def boxes(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Two boxes and an empty one; scores tie."""
    async with tables(engine, Base.metadata), engine.begin() as connection:

        async def put(table: Any, *rows: dict[str, Any]) -> None:
            await connection.execute(insert(table), list(rows))

        await put(Box, *({"id": number} for number in (1, 2, 3)))
        await put(Thing, *({"id": number, "name": "same"} for number in range(1, 6)))
        await put(
            links,
            *({"box_id": 1, "thing_id": thing, "pos": pos} for pos, thing in enumerate([3, 3, 2, 3, 1, 2])),
            *({"box_id": 2, "thing_id": thing, "pos": 0} for thing in (5, 5, 4)),
        )
        numbers = range(1, 11)
        await put(Numbered, *({"id": n, "box_id": 1 + n % 2, "number": 1000 - n} for n in numbers))
        await put(
            Indexed,
            *(
                {
                    "id": n,
                    "box_id": 1 + n % 2,
                    "score": n % 3,
                    "kind": "labelled" if n % 4 == 0 else "plain",
                }
                for n in numbers
            ),
        )
        names = ("parent_0", "order_0", "key_0", "target_0", "loadplan_order_0")
        await put(Odd, *({"id": n, "box_id": 1 + n % 2, "score": n % 3} | dict.fromkeys(names, -n) for n in numbers))
        await put(Label, *({"id": n, "indexed_id": n} for n in range(1, 11)))
        for n in range(1, 9):
            kind = "dog" if n % 2 else "animal"
            await put(Animal.__table__, {"id": n, "kind": kind, "box_id": 1 + (n > 5)})
            if kind == "dog":
                await put(Dog.__table__, {"id": n, "loudness": 100 - n})
        await put(Counted, *({"id": n, "box_id": 1} for n in range(1, 5)))
        await put(Part, *({"id": n, "counted_id": of} for n, of in enumerate([4, 4, 4, 2, 2, 3], start=1)))
        await put(Plot, *({"x": x, "y": y} for x in (1, 2) for y in "ab"))
        await put(Tree, *PLANTED)
        await put(Shrub, *({"id": row["a"], **{k: row[k] for k in ("px", "py", "height")}} for row in PLANTED))
        await connection.commit()
        yield engine


def how(engine: AsyncEngine, plan: LoadPlan[Any]) -> str:
    """How the first edge is loaded, in one word, when explain and the SQL say the same."""
    explained = Loader(engine).explain(by_keys(plan))
    lateral, window = "LATERAL" in explained.sql[1].sql, " OVER (" in explained.sql[1].sql
    assert lateral != window
    assert ("LATERAL: an index on the key and the order" in explained.edges[0].reason) == lateral
    assert ("window function: " in explained.edges[0].reason) == window
    return "LATERAL" if lateral else "window"


async def only_edge(engine: AsyncEngine, plan: LoadPlan[Any], key: str) -> dict[Any, list[Any]]:
    """The collection of every root, in one statement for the roots and one for all of them, or in one for both."""
    found: list[dict[Any, list[Any]]] = []
    for declared, count in ((by_keys(plan), 2), (plan, Loader(engine).explain(plan, roots=None).statements)):
        with recording(engine) as statements:
            roots: list[Any] = await Loader(engine).fetch_all(
                declared, order_by=list(plan.entity.__table__.primary_key)
            )
        assert len(statements.selects) == count
        found.append(
            {
                (root.id if hasattr(root, "id") else (root.x, root.y)): [
                    each.id if hasattr(each, "id") else each.a for each in getattr(root, key)
                ]
                for root in roots
            }
        )
    assert found[0] == found[1]
    return found[0]


async def test_a_column_named_number_is_not_taken_for_the_row_number(boxes: AsyncEngine) -> None:
    """An invoice has a number too."""
    plan = LoadPlan(Box, load(Box.numbered, order_by=Numbered.id.desc(), limit=2))
    assert await only_edge(boxes, plan, "numbered") == {1: [10, 8], 2: [9, 7], 3: []}
    assert (await Loader(boxes).fetch(plan, 1)).numbered[0].number == 990


@pytest.mark.parametrize("served", [True, False])
async def test_columns_may_have_the_names_of_our_own_labels(boxes: AsyncEngine, served: bool) -> None:
    order = [Odd.score.desc(), Odd.id.desc()] if served else Odd.order_0
    plan = LoadPlan(Box, load(Box.odd, order_by=order, limit=2))
    assert how(boxes, plan) == ("LATERAL" if served and boxes.dialect.name == "postgresql" else "window")
    expected = {1: [8, 2], 2: [5, 7], 3: []} if served else {1: [10, 8], 2: [9, 7], 3: []}
    assert await only_edge(boxes, plan, "odd") == expected
    row = (await Loader(boxes).fetch(plan, 1)).odd[0]
    assert {row.parent_0, row.order_0, row.key_0, row.target_0, row.loadplan_order_0} == {-row.id}
    page = await Loader(boxes).fetch_page(LoadPlan(Odd), Odd.loadplan_order_0, 3)
    assert [each.id for each in page.items] == [10, 9, 8]


async def test_duplicate_association_rows_count_once(boxes: AsyncEngine) -> None:
    plan = LoadPlan(Box, load(Box.things, order_by=Thing.name, limit=2))
    assert how(boxes, plan) == "window"
    assert await only_edge(boxes, plan, "things") == {1: [1, 2], 2: [4, 5], 3: []}


async def test_duplicate_association_rows_count_once_in_the_order_of_the_association(boxes: AsyncEngine) -> None:
    """Thing 3 stands at positions 0, 1 and 3: it is the first of box 1, and thing 2 the second."""
    plan = LoadPlan(Box, load(Box.things, order_by=links.c.pos, limit=2))
    assert await only_edge(boxes, plan, "things") == {1: [3, 2], 2: [4, 5], 3: []}


#: Nearest multiples are highest, so heights tie in runs of eight.
PLANTED = [{"a": n, "b": -n, "px": 1 + n % 2, "py": "ab"[n // 2 % 2], "height": -(n // 8)} for n in range(1, 21)]


@pytest.mark.parametrize("key", ["trees", "shrubs"])
async def test_composite_keys(boxes: AsyncEngine, key: str) -> None:
    order = [Tree.height, Tree.a.desc()] if key == "trees" else [Shrub.height, Shrub.id.desc()]
    highest = sorted(PLANTED, key=lambda row: (row["height"], -row["a"]))
    expected = {
        (x, y): [row["a"] for row in highest if (row["px"], row["py"]) == (x, y)][:2] for x in (1, 2) for y in "ab"
    }
    assert await only_edge(boxes, LoadPlan(Plot, load(getattr(Plot, key), order_by=order, limit=2)), key) == expected
    assert expected[1, "a"] == [20, 16]


async def test_ties_of_composite_keys_go_by_both_columns(boxes: AsyncEngine) -> None:
    """Ascending by (a, b) after the height."""
    plan = LoadPlan(Plot, load(Plot.trees, order_by=Tree.height.desc(), limit=2))
    assert await only_edge(boxes, plan, "trees") == {
        (1, "a"): [4, 8],
        (1, "b"): [2, 6],
        (2, "a"): [1, 5],
        (2, "b"): [3, 7],
    }


async def test_composite_keys_choose_lateral_where_the_index_serves(postgres: AsyncEngine) -> None:
    assert how(postgres, LoadPlan(Plot, load(Plot.trees, order_by=Tree.height, limit=2))) == "LATERAL"
    assert how(postgres, LoadPlan(Plot, load(Plot.shrubs, order_by=Shrub.height, limit=2))) == "LATERAL"
    assert how(postgres, LoadPlan(Plot, load(Plot.trees, order_by=Tree.a, limit=2))) == "window"


@pytest.mark.parametrize(
    ("order", "chosen"),
    [
        (Indexed.score, "LATERAL"),
        (Indexed.score.desc(), "LATERAL"),
        ([Indexed.score, Indexed.id], "LATERAL"),
        (Indexed.id, "window"),
        (Indexed.kind, "window"),
        (Indexed.score + 1, "window"),
        (func.abs(Indexed.score), "window"),
        ([Indexed.kind, Indexed.score], "window"),
    ],
)
async def test_lateral_exactly_where_an_index_of_the_metadata_serves(
    postgres: AsyncEngine, sqlite: AsyncEngine, order: Any, chosen: str
) -> None:
    plan = LoadPlan(Box, load(Box.indexed, order_by=order, limit=3))
    assert how(postgres, plan) == chosen
    assert how(sqlite, plan) == "window"


async def test_targets_of_joined_inheritance(boxes: AsyncEngine) -> None:
    assert await only_edge(boxes, LoadPlan(Box, load(Box.animals, limit=2)), "animals") == {1: [5, 4], 2: [8, 7], 3: []}
    plan = LoadPlan(Box, load(Box.dogs, order_by=Dog.loudness, limit=2))
    assert await only_edge(boxes, plan, "dogs") == {1: [5, 3], 2: [7], 3: []}
    dog = (await Loader(boxes).fetch(plan, 1)).dogs[0]
    assert (dog.kind, dog.loudness) == ("dog", 95)


async def test_targets_with_a_column_property(boxes: AsyncEngine) -> None:
    plan = LoadPlan(Box, load(Box.counted, order_by=Counted.parts.desc(), limit=3))
    assert await only_edge(boxes, plan, "counted") == {1: [4, 2, 3], 2: [], 3: []}
    assert [each.parts for each in (await Loader(boxes).fetch(plan, 1)).counted] == [3, 2, 1]
    plan = LoadPlan(Box, load(Box.counted, order_by=Counted.parts.desc(), limit=3, only=[Counted.id]))
    assert await only_edge(boxes, plan, "counted") == {1: [4, 2, 3], 2: [], 3: []}
    plan = LoadPlan(Box, load(Box.counted, where=Counted.parts < 3, order_by=Counted.parts, limit=2))
    assert await only_edge(boxes, plan, "counted") == {1: [1, 3], 2: [], 3: []}


async def test_a_joined_to_one_below_whose_join_speaks_of_a_column_left_out(boxes: AsyncEngine) -> None:
    """``kind`` is part of the condition of ``label``, and ``only=`` does not name it."""
    plan = LoadPlan(Box, load(Box.indexed, load(Indexed.label), order_by=Indexed.score, limit=5, only=[Indexed.score]))
    found = await Loader(boxes).fetch(plan, 1)
    assert [(each.id, each.label and each.label.id) for each in found.indexed] == [
        (6, None),
        (4, 4),
        (10, None),
        (2, None),
        (8, 8),
    ]


@pytest.mark.parametrize("count", [0, 1, 500, 501])
@pytest.mark.parametrize("key", ["indexed", "counted", "animals", "things"])
async def test_one_statement_however_many_parents(postgres: AsyncEngine, count: int, key: str) -> None:
    order = {"indexed": Indexed.score, "counted": Counted.id, "animals": None, "things": Thing.id}[key]
    plan = by_keys(LoadPlan(Box, load(getattr(Box, key), order_by=order, limit=2)))
    async with tables(postgres, Base.metadata):
        if count:
            async with postgres.begin() as connection:
                await connection.execute(insert(Box), [{"id": number} for number in range(count)])
        with recording(postgres) as statements:
            found = await Loader(postgres).fetch_all(plan)
        assert len(found) == count
        assert len(statements.selects) == (2 if count else 1)
        assert all(getattr(box, key) == [] for box in found)


async def test_a_subquery_below_a_limit_asks_for_the_rows_of_the_limit_alone(boxes: AsyncEngine) -> None:
    """Its subquery repeats the limited statement, and joins no table a second time."""
    for order in (Counted.id, Counted.parts):
        plan = LoadPlan(
            Box, load(Box.counted, load(Counted.all_parts, strategy="subquery"), order_by=order.desc(), limit=1)
        )
        found = await Loader(boxes, max_rows=5).fetch(plan, 1)
        assert [(each.id, [part.id for part in each.all_parts]) for each in found.counted] == [(4, [1, 2, 3])]
