"""Trees deeper than MariaDB's ``max_recursive_iterations``, where it ends a recursive statement without an error."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from attrs import define
from sqlalchemy import URL, Column, ForeignKey, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


links = Table(
    "deep_links",
    Base.metadata,
    Column("of_id", ForeignKey("deep_folders.id"), primary_key=True),
    Column("to_id", ForeignKey("deep_folders.id"), primary_key=True),
)


class Folder(Base):
    __tablename__ = "deep_folders"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("deep_folders.id"))
    parent: Mapped["Folder | None"] = relationship(remote_side=[id], back_populates="folders")
    folders: Mapped[list["Folder"]] = relationship(back_populates="parent", order_by=id)
    linked: Mapped[list["Folder"]] = relationship(
        secondary=links, primaryjoin=id == links.c.of_id, secondaryjoin=id == links.c.to_id, order_by=id
    )


@define
class FolderView:
    id: int
    folders: Annotated[list["FolderView"], load(Folder.folders, depth="all")]


#: The whole tree hangs on 1: a chain of 14 folders, with a leaf beside every second one.
PARENTS: dict[int, int | None] = {1: None, **{n: n - 1 for n in range(2, 15)}, **{100 + n: n for n in range(1, 14, 2)}}
#: The chain again, with a way back from its end, a short cut, and a way to itself.
LINKS = {(n, n + 1) for n in range(1, 14)} | {(14, 3), (2, 9), (5, 5)}


@pytest.fixture(params=[0, 1, 2, 3, 5, 11, 12, 13, 14, 15, 1000])
async def shallow(request: pytest.FixtureRequest, mariadb_url: URL) -> AsyncIterator[AsyncEngine]:
    """A connection that goes down a few levels; whole trees on it are deeper, or just as deep."""
    init = f"SET max_recursive_iterations = {request.param}"
    engine = create_async_engine(mariadb_url, connect_args={"init_command": init})
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            for number, parent in PARENTS.items():
                await connection.execute(insert(Folder).values(id=number, parent_id=parent))
            await connection.execute(insert(links), [{"of_id": of, "to_id": to} for of, to in LINKS])
        yield engine
    await engine.dispose()


def below(node: Any) -> dict[int, list[int]]:
    """Return the ids of the folders in each folder of a tree."""
    found, waiting = {}, [node]
    while waiting:
        each = waiting.pop()
        found[each.id] = [child.id for child in each.folders]
        waiting += each.folders
    return found


async def test_a_tree_is_whole_however_deep_the_server_goes(shallow: AsyncEngine) -> None:
    loader = Loader(shallow)
    expected = {n: sorted(child for child, parent in PARENTS.items() if parent == n) for n in PARENTS}
    entities = LoadPlan(Folder, load(Folder.folders, depth="all"))
    assert below(await loader.fetch(entities, 1)) == expected
    assert below(await loader.fetch(LoadPlan(Folder, into=FolderView), 1)) == expected
    for root in await loader.fetch_many(entities, [1, 7, 13]):
        assert below(root) == {n: ids for n, ids in expected.items() if n in below(root)}
        assert below(root)[14] == []


async def test_the_way_up_is_whole(shallow: AsyncEngine) -> None:
    node: Folder | None = await Loader(shallow).fetch(LoadPlan(Folder, load(Folder.parent, depth="all")), 14)
    way = []
    while node is not None:
        way.append(node.id)
        node = node.parent
    assert way == list(range(14, 0, -1))


async def test_a_cycle_ends_and_is_whole(shallow: AsyncEngine) -> None:
    """What hangs on every node comes too, also where a subquery repeats the statement of the tree."""
    plan = LoadPlan(Folder, load(Folder.linked, load(Folder.folders, strategy="subquery"), depth="all"))
    waiting, met = [await Loader(shallow).fetch(plan, 1)], set[int]()
    while waiting:
        node = waiting.pop()
        if node.id in met:
            continue
        met.add(node.id)
        assert [each.id for each in node.linked] == sorted(to for of, to in LINKS if of == node.id)
        if node.id != 1:
            assert [each.id for each in node.folders] == sorted(n for n, parent in PARENTS.items() if parent == node.id)
        waiting += node.linked
    assert met == set(range(1, 15))


async def test_a_tree_of_few_rows_takes_one_statement(mariadb: AsyncEngine) -> None:
    """MariaDB cannot have ended it: it has fewer rows than the server goes down levels."""
    async with tables(mariadb, Base.metadata):
        async with mariadb.begin() as connection:
            await connection.execute(insert(Folder), [{"id": n, "parent_id": n - 1 or None} for n in range(1, 31)])
        with recording(mariadb) as statements:
            root = await Loader(mariadb).fetch(LoadPlan(Folder, load(Folder.folders, depth="all")), 1)
        assert len(statements.selects) == 2
        assert len(below(root)) == 30
