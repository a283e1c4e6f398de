"""Collection classes that read or change their members, and those with three methods of their own."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from real import filled
from sqlalchemy import ForeignKey, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    keyfunc_mapping,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.collections import collection

from loadplan import Loader, LoadPlan, NotLoaded, load


class Base(DeclarativeBase):
    pass


class Language(Base):
    __tablename__ = "own_languages"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    names: Mapped[list["Name"]] = relationship()


class Name(Base):
    __tablename__ = "own_names"
    id: Mapped[int] = mapped_column(primary_key=True)
    language_id: Mapped[int] = mapped_column(ForeignKey(Language.id))
    text: Mapped[str]


class Page(Base):
    __tablename__ = "own_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    texts: Mapped[dict[str, "Text"]] = relationship(collection_class=attribute_keyed_dict("code"))
    by_name: Mapped[dict[str, "Text"]] = relationship(
        collection_class=keyfunc_mapping(lambda text: text.language.names[0].text), viewonly=True
    )
    in_order: Mapped[list["Text"]] = relationship(
        collection_class=ordering_list("position"), order_by="Text.position", viewonly=True
    )


class Text(Base):
    __tablename__ = "own_texts"
    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int] = mapped_column(ForeignKey(Page.id))
    language_id: Mapped[int] = mapped_column(ForeignKey(Language.id))
    position: Mapped[int]
    body: Mapped[str]
    language: Mapped[Language] = relationship()

    @property
    def code(self) -> str:
        """That of the language."""
        return self.language.code


async def _pages(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        languages = [
            Language(id=1, code="en", names=[Name(text="English")]),
            Language(id=2, code="de", names=[Name(text="German")]),
        ]
        session.add_all([*languages, Page(id=1)])
        await session.flush()
        session.add_all(Text(id=n, page_id=1, language_id=n, position=n - 1, body="b") for n in (1, 2))
        await session.commit()


KEYED: dict[str, tuple[Any, str, set[str]]] = {
    "joined below": (load(Page.texts, load(Text.language)), "texts", {"en", "de"}),
    "selectin below": (load(Page.texts, load(Text.language, strategy="selectin")), "texts", {"en", "de"}),
    "a collection below": (
        load(Page.by_name, load(Text.language, load(Language.names))),
        "by_name",
        {"English", "German"},
    ),
    "where= below": (load(Page.texts, load(Text.language, where=Language.id > 0)), "texts", {"en", "de"}),
    "joined collection": (
        load(Page.texts, load(Text.language, strategy="selectin"), strategy="joined"),
        "texts",
        {"en", "de"},
    ),
    "all of it in statements": (
        load(Page.by_name, load(Text.language, load(Language.names), strategy="selectin"), strategy="subquery"),
        "by_name",
        {"English", "German"},
    ),
}


@pytest.mark.parametrize(
    "name",
    KEYED,
)
async def test_a_collection_keyed_by_what_is_loaded_below_it(engine: AsyncEngine, name: str) -> None:
    """Its keys are read when the plan's graph is complete."""
    given, attribute, keys = KEYED[name]
    async with filled(engine, Base.metadata):
        await _pages(engine)
        page = await Loader(engine).fetch(LoadPlan(Page, given), 1)
        assert set(getattr(page, attribute)) == keys


async def test_a_key_that_the_plan_does_not_load(engine: AsyncEngine) -> None:
    """Where the plan lacks what the key reads, NotLoaded says so at the fetch."""
    async with filled(engine, Base.metadata):
        await _pages(engine)
        with pytest.raises(NotLoaded, match=r"Text\.language"):
            await Loader(engine).fetch(LoadPlan(Page, load(Page.texts)), 1)


async def test_an_ordering_list_without_its_column(engine: AsyncEngine) -> None:
    """Filling it reads no position: the column may be left out."""
    async with filled(engine, Base.metadata):
        await _pages(engine)
        page = await Loader(engine).fetch(LoadPlan(Page, load(Page.in_order, only=[Text.body])), 1)
        assert [each.id for each in page.in_order] == [1, 2]


class SlideBase(DeclarativeBase):
    pass


class Slide(SlideBase):
    __tablename__ = "own_slides"
    id: Mapped[int] = mapped_column(primary_key=True)
    bullets: Mapped[list["Bullet"]] = relationship(
        order_by="Bullet.position", collection_class=ordering_list("position", reorder_on_append=True)
    )


class Bullet(SlideBase):
    __tablename__ = "own_bullets"
    id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int]
    slide_id: Mapped[int] = mapped_column(ForeignKey(Slide.id))


SLIDE_PLANS: dict[str, tuple[LoadPlan[Slide], list[int]]] = {
    "whole": (LoadPlan(Slide, load(Slide.bullets)), [1, 2, 3]),
    "where=": (LoadPlan(Slide, load(Slide.bullets, where=Bullet.id > 1)), [2, 3]),
    "limit=": (LoadPlan(Slide, load(Slide.bullets, order_by=Bullet.id.desc(), limit=2)), [3, 2]),
    "order_by=": (LoadPlan(Slide, load(Slide.bullets, order_by=Bullet.id.desc())), [3, 2, 1]),
    "joined": (LoadPlan(Slide, load(Slide.bullets, where=Bullet.id > 1, strategy="joined")), [2, 3]),
}


@pytest.mark.parametrize("name", SLIDE_PLANS)
async def test_filling_an_ordering_list_changes_nothing(engine: AsyncEngine, name: str) -> None:
    """The positions are the database's, the history is clean, and a flush writes nothing."""
    plan, ids = SLIDE_PLANS[name]
    bullets = [Bullet(id=n, position=10 * n) for n in (1, 2, 3)]
    slide = Slide(id=1)
    async with filled(engine, SlideBase.metadata, slide):
        async with AsyncSession(engine) as session:
            for each in bullets:
                each.slide_id = 1
            session.add_all(bullets)
            await session.commit()
        found = await Loader(engine).fetch(plan, 1)
        assert [(each.id, each.position) for each in found.bullets] == [(n, 10 * n) for n in ids]
        assert not any(inspect(each).modified for each in found.bullets)
        async with AsyncSession(engine) as session:
            session.add(found)
            await session.commit()
        async with AsyncSession(engine) as session:
            stored = (await session.execute(select(Bullet.id, Bullet.position).order_by(Bullet.id))).all()
            assert stored == [(1, 10), (2, 20), (3, 30)]


@pytest.mark.parametrize("how", ["deepcopy", "twice"])
@pytest.mark.parametrize("strategy", ["selectin", "joined"])
async def test_a_deep_copy_of_an_ordering_list_is_one(engine: AsyncEngine, strategy: Any, how: str) -> None:
    """It knows its list: items can be added, which numbers them, and the history is the copy's own."""
    bullets = [Bullet(id=n, position=n, slide_id=1) for n in (0, 1)]
    async with filled(engine, SlideBase.metadata, Slide(id=1)):
        async with AsyncSession(engine) as session:
            session.add_all(bullets)
            await session.commit()
        found = await Loader(engine).fetch(LoadPlan(Slide, load(Slide.bullets, strategy=strategy)), 1)
        copied = copy.deepcopy(found) if how == "deepcopy" else copy.deepcopy(copy.deepcopy(found))
        assert [each.id for each in copied.bullets] == [0, 1]
        assert all(one is not other for one, other in zip(found.bullets, copied.bullets, strict=True))
        assert not inspect(copied).attrs.bullets.history.added
        added = Bullet(id=7)
        copied.bullets.append(added)
        assert added.position == 2
        assert list(inspect(copied).attrs.bullets.history.added) == [added]
        assert len(found.bullets) == 2
        async with AsyncSession(engine) as session:
            session.add(copied)
            await session.commit()
        async with AsyncSession(engine) as session:
            stored = (await session.execute(select(Bullet.id, Bullet.position).order_by(Bullet.id))).all()
            assert stored == [(0, 0), (1, 1), (7, 2)]


@pytest.mark.parametrize("strategy", ["selectin", "joined"])
async def test_a_pickled_ordering_list_is_one(engine: AsyncEngine, strategy: Any) -> None:
    """It numbers what is added. SQLAlchemy's own loses the name of the position's column when it is pickled."""
    bullets = [Bullet(id=n, position=10 * n, slide_id=1) for n in (0, 1)]
    async with filled(engine, SlideBase.metadata, Slide(id=1)):
        async with AsyncSession(engine) as session:
            session.add_all(bullets)
            await session.commit()
        found = await Loader(engine).fetch(LoadPlan(Slide, load(Slide.bullets, strategy=strategy)), 1)
        for travelled in (pickle.loads(pickle.dumps(found)), pickle.loads(pickle.dumps(copy.deepcopy(found)))):
            again = pickle.loads(pickle.dumps(travelled))
            assert [each.position for each in again.bullets] == [0, 10]
            assert not any(inspect(each).modified for each in (again, *again.bullets))
            again.bullets.append(added := Bullet(id=7))
            assert [each.position for each in again.bullets] == [0, 10, 2]
            assert list(inspect(again).attrs.bullets.history.added) == [added]


class Numbering(list[Any]):
    """Numbers its items as they come, and knows its last one."""

    @collection.appender
    def append(self, item: Any) -> None:
        item.place = len(self)
        item.is_last = True
        list.append(self, item)


class DeckBase(DeclarativeBase):
    pass


class Deck(DeckBase):
    __tablename__ = "own_decks"
    id: Mapped[int] = mapped_column(primary_key=True)
    cards: Mapped[list["Card"]] = relationship(order_by="Card.id", collection_class=Numbering)


class Card(DeckBase):
    __tablename__ = "own_cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int | None]
    deck_id: Mapped[int] = mapped_column(ForeignKey(Deck.id))


CARDS = ["INSERT INTO own_decks VALUES (1)", "INSERT INTO own_cards VALUES (1, 10, 1), (2, NULL, 1)"]
DECK_PLANS = {
    "selectin": LoadPlan(Deck, load(Deck.cards)),
    "joined": LoadPlan(Deck, load(Deck.cards, strategy="joined")),
    "without the column": LoadPlan(Deck, load(Deck.cards, only=[])),
}


@pytest.mark.parametrize("name", DECK_PLANS)
@pytest.mark.parametrize("how", ["detached", "attached"])
async def test_a_collection_that_changes_its_items_changes_nothing(engine: AsyncEngine, how: str, name: str) -> None:
    """The items keep what the database has. What is not mapped may be set."""
    async with filled(engine, DeckBase.metadata, *CARDS) as loader, AsyncSession(engine) as session:
        deck = await (
            loader.fetch(DECK_PLANS[name], 1)
            if how == "detached"
            else Loader(session).fetch_attached(DECK_PLANS[name], 1)
        )
        assert isinstance(deck.cards, Numbering)
        for card, place in zip(deck.cards, (10, None), strict=True):
            assert not inspect(card).modified
            assert card.is_last
            if name == "without the column":
                with pytest.raises(NotLoaded):
                    _ = card.place
            else:
                assert card.place == place
        assert not session.dirty


async def test_filling_keeps_a_change_that_waits_for_a_flush(engine: AsyncEngine) -> None:
    """Of an item that was changed before its collection came, that change stays, and no other is made."""
    async with filled(engine, DeckBase.metadata, *CARDS), AsyncSession(engine) as session:
        session.autoflush = False
        card = (await session.scalars(select(Card).where(Card.id == 2))).one()
        card.id = 3
        deck = await Loader(session).fetch_attached(DECK_PLANS["selectin"], 1)
        assert card in deck.cards
        assert inspect(card).modified
        assert (card.id, card.place) == (3, None)
        assert inspect(card).attrs.id.history.added == [3]


class ListLike:
    """What SQLAlchemy's documentation asks of a custom collection, and no more."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    @collection.appender
    def append(self, item: Any) -> None:
        self.data.append(item)

    @collection.remover
    def remove(self, item: Any) -> None:
        self.data.remove(item)

    @collection.iterator
    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)


class SetLike:
    """Another one, over a dictionary."""

    __emulates__ = set

    def __init__(self) -> None:
        self.by_id: dict[int, Any] = {}

    @collection.appender
    def put(self, item: Any) -> None:
        self.by_id[item.id] = item

    @collection.remover
    def drop(self, item: Any) -> None:
        del self.by_id[item.id]

    @collection.iterator
    def values(self) -> Iterator[Any]:
        return iter(self.by_id.values())


class CustomBase(DeclarativeBase):
    pass


class User(CustomBase):
    __tablename__ = "own_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    orders = relationship("Order", collection_class=ListLike, order_by="Order.id", back_populates="user")
    other_orders = relationship("Order", collection_class=SetLike, viewonly=True)


class Order(CustomBase):
    __tablename__ = "own_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    user = relationship(User, back_populates="orders")


ROWS = ["INSERT INTO own_users VALUES (1)", "INSERT INTO own_orders VALUES (1, 1), (2, 1)"]

COPIES = {"pickle": lambda each: pickle.loads(pickle.dumps(each)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("attribute", ["orders", "other_orders"])
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
async def test_copies_of_a_custom_collection(engine: AsyncEngine, how: str, attribute: str) -> None:
    """A collection without ``__len__`` is pickled and copied like any other."""
    async with filled(engine, CustomBase.metadata, *ROWS) as loader:
        user = await loader.fetch(LoadPlan(User, load(getattr(User, attribute))), 1)
        copied = COPIES[how](user)  # type: ignore[no-untyped-call]
        for each in (user, copied):
            members = getattr(each, attribute)
            assert not inspect(each).modified
            assert sorted(order.id for order in (members.data if attribute == "orders" else members.values())) == [1, 2]


class StreamBase(DeclarativeBase):
    pass


class Buyer(StreamBase):
    __tablename__ = "own_buyers"
    id: Mapped[int] = mapped_column(primary_key=True)
    deals: Mapped[list["Deal"]] = relationship(back_populates="buyer")


class Deal(StreamBase):
    __tablename__ = "own_deals"
    id: Mapped[int] = mapped_column(primary_key=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey(Buyer.id))
    buyer: Mapped[Buyer] = relationship(back_populates="deals")


STREAMS: dict[str, Any] = {
    "at the root": LoadPlan(Buyer, load(Buyer.deals, strategy="joined")),
    "below a joined to-one": LoadPlan(Deal, load(Deal.buyer, load(Buyer.deals, strategy="joined"))),
    "below a to-one with where=": LoadPlan(
        Deal, load(Deal.buyer, load(Buyer.deals, strategy="joined"), where=Buyer.id > 0)
    ),
}


@pytest.mark.parametrize(
    "name",
    STREAMS,
)
async def test_a_stream_refuses_a_joined_collection(engine: AsyncEngine, name: str) -> None:
    """LP216, wherever the joined collection stands."""
    rows = ["INSERT INTO own_buyers VALUES (1)", "INSERT INTO own_deals VALUES (1, 1), (2, 1)"]
    async with filled(engine, StreamBase.metadata, *rows) as loader:
        place = "Buyer > deals" if name == "at the root" else "Deal > buyer > deals"
        with pytest.raises(Exception, match=rf"LP216(.|\n)*at: {place}\n"):
            [each async for each in loader.stream(STREAMS[name], batch_size=1)]


async def test_a_stream_takes_a_joined_collection_below_a_statement_of_its_own(engine: AsyncEngine) -> None:
    """Below a select-in collection it multiplies no root."""
    plan = LoadPlan(
        Buyer, load(Buyer.deals, load(Deal.buyer, load(Buyer.deals, strategy="joined"), strategy="selectin"))
    )
    rows = ["INSERT INTO own_buyers VALUES (1), (2)", "INSERT INTO own_deals VALUES (1, 1), (2, 1)"]
    async with filled(engine, StreamBase.metadata, *rows) as loader:
        assert [each.id async for each in loader.stream(plan, order_by=Buyer.id, batch_size=1)] == [1, 2]


class KeyedBase(DeclarativeBase):
    pass


class Shelf(KeyedBase):
    __tablename__ = "own_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[dict[str, "Book"]] = relationship(
        collection_class=attribute_keyed_dict("title"), cascade="all, delete-orphan", back_populates="shelf"
    )


class Book(KeyedBase):
    __tablename__ = "own_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))
    shelf: Mapped[Shelf] = relationship(back_populates="books")


COPIES_OF_COPIES: dict[str, Any] = {
    "a deep copy": copy.deepcopy,
    "a pickle": COPIES["pickle"],
    "a deep copy of a pickle": lambda each: copy.deepcopy(COPIES["pickle"](each)),  # type: ignore[no-untyped-call]
    "a pickle of a deep copy": lambda each: COPIES["pickle"](copy.deepcopy(each)),  # type: ignore[no-untyped-call]
    "a deep copy of a deep copy": lambda each: copy.deepcopy(copy.deepcopy(each)),
}


@pytest.mark.parametrize("how", COPIES_OF_COPIES)
@pytest.mark.parametrize("back", ["add", "merge"])
async def test_a_copied_dictionary_goes_back_and_flushes_what_changed(engine: AsyncEngine, how: str, back: str) -> None:
    """``KeyFuncDict.__reduce__`` makes a deep copy that lacks its adapter; SQLAlchemy's own copies fail in merge."""
    rows = ["INSERT INTO own_shelves VALUES (1)", "INSERT INTO own_books VALUES (1, 'a', 1), (2, 'b', 1)"]
    async with filled(engine, KeyedBase.metadata, *rows) as loader:
        original = await loader.fetch(LoadPlan(Shelf, load(Shelf.books)), 1)
        shelf = COPIES_OF_COPIES[how](original)
        assert list(shelf.books) == ["a", "b"]
        assert not inspect(shelf).modified
        assert shelf.books["a"].shelf is shelf
        async with AsyncSession(engine) as session:
            if back == "add":
                session.add(shelf)
            else:
                shelf = await session.merge(shelf)
            del shelf.books["a"]
            shelf.books["c"] = Book(id=3, title="c")
            await session.commit()
        again = await loader.fetch(LoadPlan(Shelf, load(Shelf.books)), 1)
        assert sorted(again.books) == ["b", "c"]
        assert sorted(original.books) == ["a", "b"]
