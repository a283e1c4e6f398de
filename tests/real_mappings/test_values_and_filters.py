"""Values that watch themselves, subqueries below a filter, keys that loading goes by, load events that read."""

from typing import Any

import pytest
from real import filled, lazily
from sqlalchemy import JSON, ForeignKey, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, reconstructor, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "watched_teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    notes: Mapped[list["Note"]] = relationship(back_populates="team", order_by="Note.id")


class Note(Base):
    __tablename__ = "watched_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON))
    words: Mapped[list[Any]] = mapped_column(MutableList.as_mutable(JSON))
    team_id: Mapped[int] = mapped_column(ForeignKey(Team.id))
    team: Mapped[Team] = relationship(back_populates="notes")


def _notes() -> list[object]:
    return [Team(id=1, notes=[Note(id=n, text="a", data={"n": 1}, words=[1]) for n in (1, 2)])]


@pytest.mark.parametrize("column", ["data", "words"])
@pytest.mark.parametrize("key", [1, 2])
@pytest.mark.parametrize("strategy", ["selectin", pytest.param("joined"), "subquery"])
async def test_a_change_within_a_mutable_value_is_written(
    request: pytest.FixtureRequest, engine: AsyncEngine, strategy: Any, key: int, column: str
) -> None:
    """Whatever path brought the value, a change in place is flushed."""
    only = [getattr(Note, column)]
    plan = LoadPlan(Note, load(Note.team, load(Team.notes, only=only, strategy=strategy)), only=[Note.text])
    async with filled(engine, Base.metadata, *_notes()) as loader:
        note = await loader.fetch(plan, key)
        async with AsyncSession(engine) as session:
            session.add(note)
            if column == "data":
                note.data["n"] = 2
            else:
                note.words.append(2)
            await session.commit()
        async with AsyncSession(engine) as session:
            stored = await session.get_one(Note, key)
            assert getattr(stored, column) == ({"n": 2} if column == "data" else [1, 2])


class LinkBase(DeclarativeBase):
    pass


class Tag(LinkBase):
    __tablename__ = "filtered_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    links: Mapped[list["Link"]] = relationship(back_populates="tag", order_by="Link.id")


class Link(LinkBase):
    __tablename__ = "filtered_links"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]
    tag_id: Mapped[int] = mapped_column(ForeignKey(Tag.id))
    tag: Mapped[Tag] = relationship(back_populates="links")


def _links() -> list[object]:
    return [
        Tag(id=1, name="hidden", links=[Link(id=n, note=f"n{n}") for n in range(1, 6)]),
        Tag(id=2, name="seen", links=[Link(id=9, note="n9")]),
    ]


@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_rows_of_a_hidden_parent_do_not_come(engine: AsyncEngine, strategy: Any) -> None:
    """Two roots, one tag, and its one link are four rows; a hidden tag's links open no undeclared column."""
    seen = load(Tag.links, strategy=strategy)
    plan = LoadPlan(Link, load(Link.tag, seen, where=Tag.name != "hidden"), only=[Link.tag_id])
    records: list[Any] = []
    async with filled(engine, LinkBase.metadata, *_links()):
        link, other = await Loader(engine, on_fetch=records.append).fetch_many(plan, [1, 9])
        assert link.tag is None
        assert [each.id for each in other.tag.links] == [9]
        with pytest.raises(NotLoaded):
            _ = link.note
        assert records[0].rows <= 4


@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_rows_below_a_filtered_collection_do_not_come(engine: AsyncEngine, strategy: Any) -> None:
    """The same below a collection with ``where=``: the tags of left-out links are not read."""
    plan = LoadPlan(Tag, load(Tag.links, load(Link.tag, strategy=strategy), where=Link.id > 5))
    records: list[Any] = []
    async with filled(engine, LinkBase.metadata, *_links()):
        tags = await Loader(engine, on_fetch=records.append).fetch_all(plan, order_by=Tag.id)
        assert [[link.id for link in each.links] for each in tags] == [[], [9]]
        assert records[0].rows <= 4


@pytest.mark.parametrize("strategy", ["selectin", "subquery"])
async def test_rows_below_the_root_after_a_page_do_not_come(engine: AsyncEngine, strategy: Any) -> None:
    """A page reads one root more than it shows. Two of the rows are roots, and five are links of the first."""
    plan = LoadPlan(Tag, load(Tag.links, strategy=strategy))
    records: list[Any] = []
    async with filled(engine, LinkBase.metadata, *_links()):
        loader = Loader(engine, on_fetch=records.append)
        first = await loader.fetch_page(plan, Tag.id, 1)
        last = await loader.fetch_page(plan, Tag.id, 1, after=first.next)
        back = await loader.fetch_page(plan, Tag.id, 1, before=last.previous)
    assert [[len(tag.links) for tag in page.items] for page in (first, last, back)] == [[5], [1], [5]]
    assert [each.rows for each in records] == [7, 2, 6]


class KeyBase(DeclarativeBase):
    pass


class A(KeyBase):
    __tablename__ = "sealed_a"
    id: Mapped[int] = mapped_column(primary_key=True)
    bs: Mapped[list["B"]] = relationship(order_by="B.id")


class B(KeyBase):
    __tablename__ = "sealed_b"
    id: Mapped[int] = mapped_column(primary_key=True)
    a_id: Mapped[int] = mapped_column(ForeignKey(A.id))
    data: Mapped[str]
    a: Mapped[A] = relationship(viewonly=True)


KEY_PLANS: dict[str, LoadPlan[Any]] = {
    "only= of a collection": LoadPlan(A, load(A.bs, only=[B.data])),
    "defer= of a collection": LoadPlan(A, load(A.bs, defer=[B.a_id])),
    "a limit": LoadPlan(A, load(A.bs, only=[B.data], limit=2)),
    "joined": LoadPlan(A, load(A.bs, only=[B.data], strategy="joined")),
    "the to-one of it": LoadPlan(A, load(A.bs, load(B.a), only=[B.data])),
    "a to-one": LoadPlan(B, load(B.a), only=[B.data]),
}


@pytest.mark.parametrize("name", KEY_PLANS)
async def test_the_foreign_key_that_loading_goes_by_comes(engine: AsyncEngine, name: str) -> None:
    """Primary keys, and the foreign keys that loading goes by, come always."""
    async with filled(engine, KeyBase.metadata, A(id=7, bs=[B(id=1, data="x")])) as loader:
        (root,) = await loader.fetch_all(KEY_PLANS[name])
        assert (root if isinstance(root, B) else root.bs[0]).a_id == 7


class EventBase(DeclarativeBase):
    pass


class Parent(EventBase):
    __tablename__ = "events_parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kids: Mapped[list["Kid"]] = relationship(order_by="Kid.id", back_populates="parent")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)

    @reconstructor
    def remember(self) -> None:
        """Read what the test says."""
        self.seen = [_read(self, name) for name in READS]


class Kid(EventBase):
    __tablename__ = "events_kids"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey(Parent.id))
    parent: Mapped[Parent] = relationship(back_populates="kids")


READS: list[str] = []


def _read(parent: Any, name: str) -> Any:
    value = getattr(parent, name)
    return [each.id for each in value] if isinstance(value, list) else value


@pytest.fixture(params=["reconstructor", "load event", "restoring load event"])
def read_at_load(request: pytest.FixtureRequest) -> Any:
    """Have parents read attributes when they are loaded."""

    def start(*names: str) -> None:
        if request.param == "reconstructor":
            READS[:] = names
        else:
            event.listen(Parent, "load", listener, restore_load_context="restoring" in request.param)
            event.listen(Parent, "load", listener)
            wanted[:] = names

    wanted: list[str] = []

    def listener(parent: Any, _context: Any) -> None:
        parent.seen = [_read(parent, name) for name in wanted]

    yield start
    READS.clear()
    if event.contains(Parent, "load", listener):
        event.remove(Parent, "load", listener)


def _parents() -> list[object]:
    return [Parent(id=1, name="n", kids=[Kid(id=1), Kid(id=2)])]


async def test_a_load_event_reads_a_column(engine: AsyncEngine, read_at_load: Any) -> None:
    """What the plan loads is there when the event fires."""
    async with filled(engine, EventBase.metadata, *_parents()) as loader:
        read_at_load("name")
        assert (await loader.fetch(LoadPlan(Parent), 1)).seen == ["n"]


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
async def test_a_load_event_reads_a_declared_relationship(
    engine: AsyncEngine, read_at_load: Any, strategy: Any
) -> None:
    """The event fires when the graph is complete."""
    async with filled(engine, EventBase.metadata, *_parents()) as loader:
        expected = await lazily(engine, select(Parent), lambda each: [kid.id for kid in each.kids])
        read_at_load("kids")
        plan = LoadPlan(Parent, load(Parent.kids, strategy=strategy))
        assert (await loader.fetch(plan, 1)).seen == expected


@pytest.mark.parametrize(
    "plan",
    [LoadPlan(Parent, only=[Parent.id], name="p"), LoadPlan(Kid, load(Kid.parent, only=[Parent.id]))],
    ids=["a column", "a column below"],
)
async def test_a_load_event_that_reads_a_column_left_out(engine: AsyncEngine, read_at_load: Any, plan: Any) -> None:
    """What the plan leaves out raises NotLoaded with its hint."""
    async with filled(engine, EventBase.metadata, *_parents()) as loader:
        read_at_load("name")
        with pytest.raises(NotLoaded, match=r"Parent\.name"):
            await loader.fetch(plan, 1)


async def test_a_load_event_that_reads_an_undeclared_relationship(engine: AsyncEngine, read_at_load: Any) -> None:
    """NotLoaded, not SQLAlchemy's own error."""
    async with filled(engine, EventBase.metadata, *_parents()) as loader:
        read_at_load("kids")
        with pytest.raises(NotLoaded, match=r"Parent\.kids"):
            await loader.fetch(LoadPlan(Parent), 1)
