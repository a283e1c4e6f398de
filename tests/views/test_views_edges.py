"""Views at the edges: names that collide, keys of several columns, pairs that come twice, many parents, deep trees."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, Table, UniqueConstraint, func, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, ViewError, aggregate, count, exists, load
from loadplan.running.plans import compile_plan
from support import recording, tables


class Base(DeclarativeBase):
    pass


repeated = Table(
    "ved_repeated",
    Base.metadata,
    Column("a", ForeignKey("ved_odd.key_0"), index=True),
    Column("b", ForeignKey("ved_odd.key_0")),
    Column("note", Integer),
)


class Odd(Base):
    """Columns, attributes and relationships named like labels of ours, like keywords, and like tables."""

    __tablename__ = "ved_odd"
    key_0: Mapped[int] = mapped_column(primary_key=True)
    order_0: Mapped[int | None]
    value: Mapped[int | None]
    number: Mapped[int | None]
    first_rows: Mapped[int | None]
    target_0: Mapped[int | None] = mapped_column("parent_0")
    swapped: Mapped[int | None] = mapped_column("renamed")
    renamed: Mapped[int | None] = mapped_column("swapped")
    quoted: Mapped[int | None] = mapped_column('se"lect %(x)s :y')
    up_id: Mapped[int | None] = mapped_column("Up Id", ForeignKey("ved_odd.key_0"), index=True)
    numbered: Mapped["Odd | None"] = relationship(remote_side=key_0, back_populates="ved_odd")
    ved_odd: Mapped[list["Odd"]] = relationship(back_populates="numbered", order_by="Odd.order_0")
    pairs: Mapped[list["Odd"]] = relationship(
        secondary=repeated,
        primaryjoin=key_0 == repeated.c.a,
        secondaryjoin=key_0 == repeated.c.b,
        order_by="Odd.key_0",
        viewonly=True,
    )
    single: Mapped["Odd | None"] = relationship(
        primaryjoin="foreign(remote(Odd.up_id)) == Odd.key_0", uselist=False, viewonly=True, order_by="Odd.key_0"
    )
    other: Mapped[list["Two"]] = relationship(order_by="Two.b")


class Two(Base):
    """A key of two columns, and a reference to itself whose parts may be NULL one by one."""

    __tablename__ = "ved_two"
    a: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    up_a: Mapped[int | None]
    up_b: Mapped[int | None]
    odd_id: Mapped[int | None] = mapped_column(ForeignKey("ved_odd.key_0"), index=True)
    up: Mapped["Two | None"] = relationship(remote_side=[a, b], back_populates="down")
    down: Mapped[list["Two"]] = relationship(back_populates="up", order_by="Two.b")
    __table_args__ = (
        ForeignKeyConstraint(["up_a", "up_b"], ["ved_two.a", "ved_two.b"]),
        UniqueConstraint("up_a", "up_b", "b"),
    )


@attrs.frozen
class Leaf:
    key_0: int
    value: int | None


@attrs.frozen
class TwoView:
    b: int
    up: "TwoLeaf | None"
    down: "list[TwoLeaf]"


@attrs.frozen
class TwoLeaf:
    a: int
    b: int


@attrs.frozen
class Middle:
    key_0: int
    order_0: int | None
    value: int | None
    number: int | None
    first_rows: int | None
    target_0: int | None
    swapped: int | None
    renamed: int | None
    quoted: int | None
    numbered: Leaf | None
    ved_odd: list[Leaf]
    pairs: list[Leaf]
    single: Leaf | None
    other: list[TwoView]
    how_many: Annotated[int, count(Odd.pairs)]
    has_pairs: Annotated[bool, exists(Odd.pairs)]
    at_most: Annotated[int, aggregate(Odd.ved_odd, func.coalesce(func.max(Odd.value), 0))]
    maximum: Annotated[int | None, aggregate(Odd.ved_odd, func.max(Odd.value))]
    different: Annotated[int, aggregate(Odd.pairs, func.count(Odd.value.distinct()))]


@attrs.frozen
class Top:
    key_0: int
    ved_odd: list[Middle]
    pairs: list[Middle]
    numbered: Middle | None


_NAMES = ("key_0", "order_0", "value", "number", "first_rows", "parent_0", "renamed", "swapped", 'se"lect %(x)s :y')


@pytest.fixture
async def odd(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Rows 1 to 6: 2 to 5 below 1, 6 below 2; pairs that come up to three times."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            table = Odd.__table__
            for key, up in ((1, None), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2)):
                values = dict(zip(_NAMES, [key, key % 2, *range(key * 10, key * 10 + 7)], strict=True))
                await connection.execute(insert(table).values({table.c[name]: value for name, value in values.items()}))
                await connection.execute(table.update().where(table.c.key_0 == key).values({table.c["Up Id"]: up}))
            every = [(1, 2), (1, 2), (1, 3), (2, 2), (2, 2), (2, 2), (3, 1)]
            await connection.execute(insert(repeated), [{"a": a, "b": b, "note": n} for n, (a, b) in enumerate(every)])
            twos = [(1, 1, None, None, 2), (1, 2, 1, 1, 2), (1, 3, 1, None, None), (2, 1, 1, 1, 2), (2, 2, None, 1, 1)]
            names = ("a", "b", "up_a", "up_b", "odd_id")
            for row in twos:
                await connection.execute(insert(Two.__table__), dict(zip(names, row, strict=True)))
        yield engine


def _leaf(key: int) -> Leaf:
    return Leaf(key, key * 10)


def _middle(key: int) -> Middle:
    """What row ``key`` is, by hand."""
    below = {1: [2, 4, 3, 5], 2: [6]}.get(key, [])
    pairs = {1: [2, 3], 2: [2], 3: [1]}.get(key, [])
    others = {
        1: [TwoView(2, None, [])],
        2: [
            TwoView(1, None, [TwoLeaf(2, 1), TwoLeaf(1, 2)]),
            TwoView(1, TwoLeaf(1, 1), []),
            TwoView(2, TwoLeaf(1, 1), []),
        ],
    }.get(key, [])
    single = {1: 2, 2: 6}.get(key)
    above = {1: None, 6: 2}.get(key, 1)
    values = [key, key % 2, *range(key * 10, key * 10 + 4)]
    return Middle(
        *values,
        swapped=key * 10 + 4,
        renamed=key * 10 + 5,
        quoted=key * 10 + 6,
        numbered=above and _leaf(above),
        ved_odd=[_leaf(each) for each in below],
        pairs=[_leaf(each) for each in pairs],
        single=single and _leaf(single),
        other=others,
        how_many=len(pairs),
        has_pairs=bool(pairs),
        at_most=max((each * 10 for each in below), default=0),
        maximum=max((each * 10 for each in below), default=None),
        different=len(pairs),
    )


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
@pytest.mark.parametrize("limit", [None, 2])
async def test_names_keys_and_pairs(odd: AsyncEngine, strategy: Any, limit: int | None) -> None:
    """At the root, nested, by level, limited by LATERAL or by numbers: as worked out by hand."""
    order = Odd.order_0 if limit else None
    plan = LoadPlan(
        Odd,
        load(Odd.ved_odd, strategy=strategy, limit=limit, order_by=order),
        load(Odd.pairs, strategy=strategy),
        load(Odd.numbered, strategy=strategy),
        into=Top,
        name="odd",
    )
    middle = LoadPlan(Odd, into=Middle)
    below = {1: [2, 4, 3, 5][:limit], 2: [6]}
    pairs = {1: [2, 3], 2: [2], 3: [1]}
    above = {2: 1, 3: 1, 4: 1, 5: 1, 6: 2}
    expected = [
        Top(
            key,
            [_middle(each) for each in below.get(key, [])],
            [_middle(each) for each in pairs.get(key, [])],
            _middle(above[key]) if key in above else None,
        )
        for key in range(1, 7)
    ]
    for loader in (Loader(odd), Loader(odd, max_rows=10_000)):
        tops = sorted(await loader.fetch_all(plan), key=lambda each: each.key_0)
        few = await loader.fetch_all(plan, order_by=Odd.key_0, limit=6)
        one = [await loader.fetch(plan, key) for key in range(1, 7)]
        middles = await loader.fetch_all(middle, order_by=Odd.key_0)
        single = [await loader.fetch(middle, key) for key in range(1, 7)]
        for found in (tops, few, one):
            assert _without_ties(found) == _without_ties(expected)
        for found in (middles, single):
            assert _without_ties(found) == _without_ties([_middle(key) for key in range(1, 7)])


def _without_ties(views: list[Any]) -> list[Any]:
    """Return views with the composites, whose order by ``b`` alone ties on the key, sorted; all else as it is."""

    def sort(view: Any) -> Any:
        if not isinstance(view, Middle):
            changed = {"ved_odd": list(map(sort, view.ved_odd)), "pairs": list(map(sort, view.pairs))}
            return attrs.evolve(view, numbered=view.numbered and sort(view.numbered), **changed)
        others = [attrs.evolve(each, down=sorted(each.down, key=repr)) for each in view.other]
        return attrs.evolve(view, other=sorted(others, key=repr))

    return [sort(each) for each in views]


# --- numbers ----------------------------------------------------------------------------------------------------------


class Many(DeclarativeBase):
    pass


class Node(Many):
    __tablename__ = "ved_nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    up_id: Mapped[int | None] = mapped_column(
        ForeignKey("ved_nodes.id", deferrable=True, initially="DEFERRED"), index=True
    )
    up: Mapped["Node | None"] = relationship(remote_side=id, back_populates="down")
    down: Mapped[list["Node"]] = relationship(back_populates="up", order_by=id)


@attrs.frozen
class NodeLeaf:
    id: int


@attrs.frozen
class NodeView:
    id: int
    up: NodeLeaf | None
    down: list[NodeLeaf]
    size: Annotated[int, count(Node.down)]


@attrs.frozen
class Tree:
    id: int
    down: "list[Tree]" = attrs.field(factory=list)


@attrs.frozen
class Chain:
    id: int
    up: "Chain | None" = None


@attrs.frozen
class Six:
    id: int
    up: "Six | None" = None


async def _nodes(engine: AsyncEngine, ups: list[int | None]) -> None:
    async with engine.begin() as connection:
        rows = [{"id": key, "up_id": up} for key, up in enumerate(ups, start=1)]
        if rows:
            await connection.execute(insert(Node.__table__), rows)


@pytest.mark.parametrize("number", [0, 1, 100, 101, 500, 501])
async def test_numbers_of_roots_and_parents(engine: AsyncEngine, number: int) -> None:
    """Each root has one child; what is loaded does not depend on how many there are, statements are as foretold."""
    async with tables(engine, Many.metadata):
        await _nodes(engine, [*[None] * number, *range(1, number + 1)])
        plan = LoadPlan(Node, into=NodeView)
        expected = [NodeView(key, None, [NodeLeaf(key + number)], 1) for key in range(1, number + 1)]
        for limit in {number, number + 1, None} - {0}:
            with recording(engine) as sent:
                found = await Loader(engine).fetch_all(plan, Node.up_id.is_(None), Node.id, limit)
            assert found == expected
            compiled = compile_plan(plan, engine.dialect).bringing(limit)
            chunks = -(-number // 500) if engine.dialect.name != "postgresql" else min(number, 1)
            assert len(sent) == 1 + len(compiled.later) * chunks
        assert await Loader(engine).fetch_many(plan, range(1, number + 1)) == expected
        streamed = Loader(engine).stream(plan, Node.up_id.is_(None), Node.id, batch_size=100)
        assert [each async for each in streamed] == expected


async def test_a_tree_five_thousand_deep(engine: AsyncEngine) -> None:
    """Built from the leaves up, without recursion; and the way up as well."""
    async with tables(engine, Many.metadata):
        await _nodes(engine, [None, *range(1, 5000)])
        tree: Tree | None = await Loader(engine).fetch(LoadPlan(Node, load(Node.down, depth="all"), into=Tree), 1)
        depth = 0
        while tree is not None:
            depth += 1
            below = tree.down
            tree = below[0] if below else None
        assert depth == 5000
        chain: Chain | None = await Loader(engine).fetch(LoadPlan(Node, load(Node.up, depth="all"), into=Chain), 5000)
        depth = 0
        while chain is not None:
            depth, chain = depth + 1, chain.up
        assert depth == 5000


@pytest.mark.parametrize("ups", [[1], [2, 1], [3, 1, 2], [None, 3, 4, 2]])
async def test_a_cycle_is_an_error(engine: AsyncEngine, ups: list[int | None]) -> None:
    """A row that is its own descendant cannot be a view; a bounded depth can."""
    async with tables(engine, Many.metadata):
        await _nodes(engine, ups)
        start = len(ups)
        for plan in (
            LoadPlan(Node, load(Node.down, depth="all"), into=Tree),
            LoadPlan(Node, load(Node.up, depth="all"), into=Chain),
        ):
            with pytest.raises(ViewError, match="LP412"):
                await Loader(engine).fetch(plan, start)
        bounded = await Loader(engine).fetch(LoadPlan(Node, load(Node.up, depth=3), into=Chain), start)
        assert bounded.up is not None
        assert bounded.up.up is not None
        assert bounded.up.up.up is not None


async def test_six_to_ones_deep(engine: AsyncEngine) -> None:
    """One statement with six joins of one table."""
    async with tables(engine, Many.metadata):
        await _nodes(engine, [None, 1, 2, 3, 4, 5, 6, 7])
        plan = LoadPlan(Node, load(Node.up, depth=6), into=Six)
        with recording(engine) as sent:
            found: Six | None = await Loader(engine).fetch(plan, 8)
        assert len(sent) == 1
        ids = []
        while found is not None:
            ids.append(found.id)
            found = found.up
        assert ids == [8, 7, 6, 5, 4, 3, 2]


async def test_a_diamond_below_a_tree_is_no_cycle(engine: AsyncEngine) -> None:
    """Many trees in one fetch share their subtrees: every root has all of its own."""
    async with tables(engine, Many.metadata):
        await _nodes(engine, [None, 1, 1, 2, 4])
        plan = LoadPlan(Node, load(Node.down, depth="all"), into=Tree)
        five = Tree(5)
        two = Tree(2, [Tree(4, [five])])
        expected = [Tree(1, [two, Tree(3)]), two, Tree(3), Tree(4, [five]), five]
        assert await Loader(engine).fetch_all(plan, order_by=Node.id) == expected
        assert [await Loader(engine).fetch(plan, key) for key in range(1, 6)] == expected
