"""Trees: exactly so many levels, or all in one recursive statement; cycles in the data become cycles of objects."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from shapes_models import Node, insert_rows, random_rows
from sqlalchemy import ForeignKey, ForeignKeyConstraint, bindparam, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Employee(Base):
    __tablename__ = "sht_employees"
    id: Mapped[int] = mapped_column(primary_key=True)
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("sht_employees.id"))
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("sht_desks.id"))
    manager: Mapped["Employee | None"] = relationship(back_populates="reports", remote_side=[id])
    reports: Mapped[list["Employee"]] = relationship(back_populates="manager", order_by=id)
    desk: Mapped["Desk | None"] = relationship()


class Desk(Base):
    __tablename__ = "sht_desks"
    id: Mapped[int] = mapped_column(primary_key=True)


class Area(Base):
    __tablename__ = "sht_areas"
    __table_args__ = (ForeignKeyConstraint(["up_x", "up_y"], ["sht_areas.x", "sht_areas.y"]),)
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[str] = mapped_column(primary_key=True)
    up_x: Mapped[int | None]
    up_y: Mapped[str | None]
    inner: Mapped[list["Area"]] = relationship(back_populates="outer", order_by=(x, y))
    outer: Mapped["Area | None"] = relationship(back_populates="inner", remote_side=[x, y])


@pytest.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """1 > 2 > 4 > 5 > 6, 1 > 3; areas the same."""
    async with tables(engine, Base.metadata):
        managers = {1: None, 2: 1, 3: 1, 4: 2, 5: 4, 6: 5}
        async with engine.begin() as connection:
            await connection.execute(insert(Desk), [{"id": n} for n in managers])
            for n, of in managers.items():
                await connection.execute(insert(Employee).values(id=n, manager_id=of, desk_id=n))
                await connection.execute(insert(Area).values(x=n, y="a", up_x=of, up_y=of and "a"))
        yield engine


async def add_nodes(
    engine: AsyncEngine, parents: dict[int, int | None], friends: Sequence[tuple[int, int]] = ()
) -> None:
    rows = {
        "shp_nodes": [{"id": n, "parent_id": of, "rank": -n, "tenant": 1} for n, of in parents.items()],
        "shp_friends": [{"of_id": of, "to_id": to} for of, to in friends],
    }
    await insert_rows(engine, rows)


def levels(node: Any, key: str = "kids") -> int:
    """How many levels below an object are loaded, along the first child; past them it is sealed."""
    count = 0
    while True:
        try:
            below = getattr(node, key)
        except NotLoaded:
            return count
        count += 1
        if not below:
            return count
        node = below[0] if isinstance(below, list) else below


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
async def test_depth_is_exactly_so_many_levels(staff: AsyncEngine, depth: int) -> None:
    """And as many statements beside the root's at most; SQLAlchemy's ``recursion_depth`` loads one level more."""
    plan = LoadPlan(Employee, load(Employee.reports, depth=depth), name="org")
    with recording(staff) as statements:
        root = await Loader(staff).fetch(plan, 1)
    assert len(statements.selects) == Loader(staff).explain(plan).statements <= depth + 1
    assert levels(root, "reports") == depth
    last = root
    for _ in range(depth):
        last = last.reports[0]
    with pytest.raises(NotLoaded) as caught:
        _ = last.reports
    assert str(caught.value) == (
        "LP401: 'Employee.reports' is not part of plan 'org' "
        f"(at {' > '.join(['Employee.reports'] * depth)})\n"
        f'  hint: depth {depth} ends here; give load(Employee.reports) a greater depth=, or depth="all"'
    )


async def test_depth_upwards_is_joined(staff: AsyncEngine) -> None:
    with recording(staff) as statements:
        leaf = await Loader(staff).fetch(LoadPlan(Employee, load(Employee.manager, depth=2)), 6)
    assert len(statements.selects) == 1
    assert leaf.manager.manager.id == 4
    with pytest.raises(NotLoaded, match="depth 2 ends here"):
        _ = leaf.manager.manager.manager


def walk(node: Any, key: str = "reports") -> Any:
    return (node.id if hasattr(node, "id") else node.x, [walk(each, key) for each in getattr(node, key)])


WHOLE = (1, [(2, [(4, [(5, [(6, [])])])]), (3, [])])


def statements_of_a_tree(engine: AsyncEngine, entity: type) -> int:
    """On PostgreSQL, the tree of one root is in an array within the row of the root.

    MariaDB alone can compare keys that are text in part, so a tree of areas goes level by level there: 5 levels.
    """
    if engine.dialect.name == "postgresql":
        return 1
    return 6 if engine.dialect.name == "mariadb" and entity is Area else 2


async def test_the_whole_tree_is_one_recursive_statement(staff: AsyncEngine) -> None:
    for entity, key, ident in ((Employee, "reports", 1), (Area, "inner", (1, "a"))):
        plan: LoadPlan[Any] = LoadPlan(entity, load(getattr(entity, key), depth="all"))
        with recording(staff) as statements:
            root = await Loader(staff).fetch(plan, ident)
        assert len(statements.selects) == statements_of_a_tree(staff, entity)
        assert ("WITH RECURSIVE" in statements.selects[-1]) == (len(statements.selects) <= 2)
        assert walk(root, key) == WHOLE


async def test_the_whole_way_up_is_one_recursive_statement(staff: AsyncEngine) -> None:
    for entity, key, ident in ((Employee, "manager", 6), (Area, "outer", (6, "a"))):
        plan: LoadPlan[Any] = LoadPlan(entity, load(getattr(entity, key), depth="all"))
        with recording(staff) as statements:
            node: Any = await Loader(staff).fetch(plan, ident)
        assert len(statements.selects) == statements_of_a_tree(staff, entity)
        way = []
        while node is not None:
            way.append(node.id if entity is Employee else node.x)
            node = getattr(node, key)
        assert way == [6, 5, 4, 2, 1]


async def test_what_hangs_on_every_node_of_a_whole_tree_comes_with_it(staff: AsyncEngine) -> None:
    plan = LoadPlan(Employee, load(Employee.reports, load(Employee.desk), depth="all", only=[Employee.id]))
    with recording(staff) as statements:
        root = await Loader(staff).fetch(plan, 1)
    assert len(statements.selects) == statements_of_a_tree(staff, Employee)
    waiting = list(root.reports)
    while waiting:
        each = waiting.pop()
        assert each.desk.id == each.id
        waiting += each.reports


async def test_employee_manager_reports(staff: AsyncEngine) -> None:
    """Mutual recursion: up and down from one place, and each way inside the other."""
    plan = LoadPlan(Employee, load(Employee.manager, depth="all"), load(Employee.reports, depth="all"))
    with recording(staff) as statements:
        four = await Loader(staff).fetch(plan, 4)
    assert len(statements.selects) == (1 if staff.dialect.name == "postgresql" else 3)
    assert (four.manager.manager.id, four.manager.manager.manager) == (1, None)
    assert walk(four) == (4, [(5, [(6, [])])])
    assert four.reports[0].manager is four
    with pytest.raises(NotLoaded):
        _ = four.manager.reports
    nested = LoadPlan(
        Employee, load(Employee.manager, load(Employee.reports, load(Employee.manager, load(Employee.reports))))
    )
    four = await Loader(staff).fetch(nested, 4)
    assert four in four.manager.reports
    assert [each.id for each in four.manager.reports] == [4]
    assert four.manager.reports[0].manager is four.manager


async def test_all_reports_of_all_managers(staff: AsyncEngine) -> None:
    plan = LoadPlan(Employee, load(Employee.manager, load(Employee.reports, depth="all"), depth="all"))
    six = await Loader(staff).fetch(plan, 6)
    top = six.manager.manager.manager.manager
    assert walk(top) == WHOLE
    assert top.reports[0].reports[0].reports[0].reports[0] is six


@pytest.mark.parametrize("depth", [1, 2, 5, "all"])
async def test_cycles_in_the_data_are_cycles_of_objects(empty_shapes: AsyncEngine, depth: Any) -> None:
    await add_nodes(empty_shapes, {1: 3, 2: 1, 3: 2, 4: 4, 5: 4})
    plan = LoadPlan(Node, load(Node.kids, order_by=Node.id, depth=depth))
    first, own = await Loader(empty_shapes).fetch_many(plan, [1, 4])
    assert [each.id for each in own.kids] == [4, 5]
    assert own.kids[0] is own
    second = first.kids[0]
    assert second.id == 2
    if depth in {5, "all"}:
        assert second.kids[0].kids[0] is first
    up = await Loader(empty_shapes).fetch(LoadPlan(Node, load(Node.parent, depth=depth)), 4)
    assert up.parent is up


@pytest.mark.parametrize("depth", [1, 2, 3, "all"])
@pytest.mark.parametrize("key", ["kids", "parent", "friends"])
@pytest.mark.parametrize("shape", ["plain", "filtered", "limited"])
async def test_random_trees_of_every_kind(shapes: AsyncEngine, key: str, depth: Any, shape: str) -> None:
    """One-to-many, many-to-one and many-to-many, with cycles; the oracle knows every edge and walks in Python."""
    where = Node.rank < bindparam("rank") if shape == "filtered" else None
    order = None if key == "parent" else Node.rank.desc()
    limit = 2 if shape == "limited" and key != "parent" else None
    plan = LoadPlan(Node, load(getattr(Node, key), where=where, order_by=order, limit=limit, depth=depth))
    rows = random_rows()
    rank = {row["id"]: row["rank"] for row in rows["shp_nodes"]}
    edges: dict[int, set[int]] = {number: set() for number in rank}
    for row in rows["shp_nodes"]:
        if row["parent_id"] is not None and key != "friends":
            edges[row["parent_id" if key == "kids" else "id"]].add(row["id" if key == "kids" else "parent_id"])
    if key == "friends":
        for row in rows["shp_friends"]:
            edges[row["of_id"]].add(row["to_id"])

    def below(number: int) -> list[int]:
        kept = [each for each in edges[number] if shape != "filtered" or rank[each] < 2]
        return sorted(kept, key=lambda each: (-rank[each], each))[:limit]

    params = {"rank": 2} if shape == "filtered" else {}
    for ids in [[number] for number in (1, 5, 9, 20)] + [list(rank)]:
        roots = await Loader(shapes).fetch_many(plan, ids, params=params)
        reached, frontier = set(ids), list(roots)
        for _ in range(depth if depth != "all" else 30):
            onward = []
            for node in frontier:
                value = getattr(node, key)
                found = [value] if key == "parent" and value is not None else value or []
                assert [each.id for each in found] == below(node.id)
                onward += [each for each in found if each.id not in reached]
                reached |= {each.id for each in found}
            frontier = onward
        assert not frontier or depth != "all"
        for node in frontier:
            with pytest.raises(NotLoaded):
                getattr(node, key)


async def test_every_row_a_root_and_more_of_them_than_one_chunk_of_keys(empty_shapes: AsyncEngine) -> None:
    """Trees of several chunks overlap: what two of them reach is still there once."""
    count = 1100
    await add_nodes(empty_shapes, {n: n // 2 or None for n in range(1, count + 1)})
    plan = LoadPlan(Node, load(Node.kids, order_by=Node.id, depth="all"))
    for order in (Node.id, Node.id.desc()):
        for node in await Loader(empty_shapes).fetch_all(plan, order_by=order):
            assert [kid.id for kid in node.kids] == [n for n in (2 * node.id, 2 * node.id + 1) if 1 < n <= count]


async def test_a_deep_chain_is_still_one_statement(empty_shapes: AsyncEngine) -> None:
    await add_nodes(empty_shapes, {n: n - 1 or None for n in range(1, 301)})
    with recording(empty_shapes) as statements:
        node = await Loader(empty_shapes).fetch(LoadPlan(Node, load(Node.kids, depth="all")), 1)
    assert len(statements.selects) == statements_of_a_tree(empty_shapes, Node)
    for number in range(1, 301):
        assert node.id == number
        node = node.kids[0] if node.kids else node
    assert node.kids == []


async def test_a_subquery_below_a_whole_tree(shapes: AsyncEngine) -> None:
    """It repeats the recursive statement as its parents."""
    plan = LoadPlan(Node, load(Node.kids, load(Node.friends, strategy="subquery"), depth="all"))
    plain = {node.id: node for node in await Loader(shapes).fetch_all(LoadPlan(Node, load(Node.friends)))}
    for root in await Loader(shapes).fetch_all(plan):
        for kid in root.kids:
            assert {each.id for each in kid.friends} == {each.id for each in plain[kid.id].friends}


async def test_depth_of_what_is_no_tree_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Employee, load(Employee.desk, depth=2))
    assert str(caught.value) == (
        "LP213: depth= needs a relationship from a class to itself, but 'Employee.desk' leads to 'Desk'\n"
        "  at: Employee > desk\n"
        "  hint: remove depth=, and nest one load(...) for each level."
    )
