"""Types of PostgreSQL's extensions: in entities, in views, within rows, as keys at both ends, in orders of pages."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from keys_of_types import check_keys, fill_keys
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import URL, ForeignKey, String, Text, collate, insert, text, types
from sqlalchemy.dialects.postgresql import CITEXT, HSTORE
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, PlanError, load
from support import recording, tables
from system_postgres import MISSING, find_postgres, system_postgres

DRIVERS = ["asyncpg", "psycopg"]


# --- pgvector ---------------------------------------------------------------------------------------------------------


class VectorBase(DeclarativeBase):
    pass


class Topic(VectorBase):
    __tablename__ = "ext_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    centre: Mapped[Any] = mapped_column(VECTOR(3))
    passages: Mapped[list["Passage"]] = relationship(back_populates="topic", order_by="Passage.id")


class Passage(VectorBase):
    __tablename__ = "ext_passages"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("ext_topics.id"), index=True)
    embedding: Mapped[Any] = mapped_column(VECTOR(3), nullable=True)
    topic: Mapped[Topic] = relationship(back_populates="passages")


@dataclass
class PassageCard:
    id: int
    embedding: Any


@dataclass
class TopicCard:
    id: int
    centre: Any
    passages: list[PassageCard]


TOPIC = LoadPlan(Topic, load(Topic.passages), name="topic")
TOPIC_CARD = LoadPlan(Topic, into=TopicCard)
PASSAGE = LoadPlan(Passage, load(Passage.topic), name="passage")


@pytest.fixture(params=DRIVERS)
async def vectors(request: pytest.FixtureRequest, database_url: URL) -> AsyncIterator[AsyncEngine]:
    """Two topics with passages in a space of three dimensions; the last passage has no place there."""
    engine = create_async_engine(database_url.set(drivername=f"postgresql+{request.param}"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    async with tables(engine, VectorBase.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(Topic(id=number, centre=[number, 0, 0.5]) for number in (1, 2))
            session.add_all(
                Passage(id=number, topic_id=1 + number % 2, embedding=[number, 1, 2] if number < 6 else None)
                for number in range(1, 7)
            )
            await session.commit()
        yield engine
    await engine.dispose()


def listed(vector: Any) -> Any:
    """Return a vector as a list of floats."""
    return None if vector is None else [float(each) for each in vector]


async def test_vectors_are_values_of_entities_and_views(vectors: AsyncEngine) -> None:
    loader = Loader(vectors)
    for roots in ([await loader.fetch(TOPIC, 1)], [await loader.fetch(TOPIC_CARD, 1)]):
        (topic,) = roots
        assert listed(topic.centre) == [1, 0, 0.5]
        assert [(each.id, listed(each.embedding)) for each in topic.passages] == [
            (2, [2, 1, 2]),
            (4, [4, 1, 2]),
            (6, None),
        ]
    many = await loader.fetch_many(TOPIC_CARD, [2, 1])
    assert [listed(each.passages[0].embedding) for each in many] == [[1, 1, 2], [2, 1, 2]]


async def test_vectors_are_those_that_sqlalchemy_gives(vectors: AsyncEngine) -> None:
    async with AsyncSession(vectors) as session:
        expected = await session.get_one(Passage, 1)
    passage = await Loader(vectors).fetch(PASSAGE, 1)
    assert type(passage.embedding) is type(expected.embedding)
    assert listed(passage.embedding) == listed(expected.embedding)
    assert listed(passage.topic.centre) == [2, 0, 0.5]


async def test_neighbours_come_nearest_first_and_by_pages(vectors: AsyncEngine) -> None:
    distance = Passage.embedding.l2_distance([5, 1, 2])
    loader = Loader(vectors)
    near = await loader.fetch_all(PASSAGE, distance < 3, order_by=distance, limit=2)
    assert [each.id for each in near] == [5, 4]
    found, after = [], None
    while True:
        page = await loader.fetch_page(PASSAGE, distance.nulls_last(), 2, after=after)
        found += [each.id for each in page.items]
        if (after := page.next) is None:
            break
    assert found == [5, 4, 3, 2, 1, 6]


async def test_a_distance_orders_and_limits_a_collection(vectors: AsyncEngine) -> None:
    nearest = LoadPlan(Topic, load(Topic.passages, order_by=Passage.embedding.l2_distance([0, 1, 2]), limit=1))
    found = await Loader(vectors).fetch_many(nearest, [1, 2])
    assert [[each.id for each in topic.passages] for topic in found] == [[2], [1]]


class Cluster(VectorBase):
    """Its key is a vector: children name it by that."""

    __tablename__ = "ext_clusters"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(VECTOR(3), unique=True)
    members: Mapped[list["Member"]] = relationship(back_populates="cluster", order_by="Member.id")


class Member(VectorBase):
    __tablename__ = "ext_members"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(VECTOR(3), ForeignKey("ext_clusters.key"), nullable=True)
    cluster: Mapped[Cluster | None] = relationship(back_populates="members")


async def test_vectors_are_keys_at_both_ends(vectors: AsyncEngine) -> None:
    await fill_keys(vectors, Cluster, Member, [[3, 1, 2], [1, 2, 3], [2, 0, 0]])
    await check_keys(vectors, Cluster.members, Member.cluster, order=None)


# --- citext, hstore, ltree, collations --------------------------------------------------------------------------------


class LTREE(types.UserDefinedType[str]):
    """Paths of labels, as applications declare them: SQLAlchemy has no such type."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "LTREE"


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "ext_accounts"
    email: Mapped[str] = mapped_column(CITEXT, primary_key=True)
    settings: Mapped[dict[str, str | None]] = mapped_column(MutableDict.as_mutable(HSTORE()))
    nick: Mapped[str] = mapped_column(String(collation="ext_natural"))
    messages: Mapped[list["Message"]] = relationship(back_populates="account", order_by="Message.id")


class Message(Base):
    __tablename__ = "ext_messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_email: Mapped[str] = mapped_column(CITEXT, ForeignKey("ext_accounts.email"), index=True)
    folder: Mapped[str] = mapped_column(LTREE, ForeignKey("ext_folders.path"))
    headers: Mapped[dict[str, str | None] | None] = mapped_column(HSTORE)
    account: Mapped[Account] = relationship(back_populates="messages")
    place: Mapped["Folder"] = relationship(back_populates="messages")


class Folder(Base):
    __tablename__ = "ext_folders"
    path: Mapped[str] = mapped_column(LTREE, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    messages: Mapped[list[Message]] = relationship(back_populates="place", order_by=Message.id)


class Realm(Base):
    """Its key is an hstore."""

    __tablename__ = "ext_realms"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(HSTORE, unique=True)
    users: Mapped[list["User"]] = relationship(back_populates="realm", order_by="User.id")


class User(Base):
    __tablename__ = "ext_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(HSTORE, ForeignKey("ext_realms.key"), nullable=True)
    realm: Mapped[Realm | None] = relationship(back_populates="users")


class Album(Base):
    """Its key is text whose order is that of ICU."""

    __tablename__ = "ext_albums"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(collation="ext_natural"), unique=True)
    images: Mapped[list["Image"]] = relationship(back_populates="album", order_by="Image.id")


class Image(Base):
    __tablename__ = "ext_images"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str | None] = mapped_column(String(collation="ext_natural"), ForeignKey("ext_albums.key"))
    album: Mapped[Album | None] = relationship(back_populates="images")


class Loose(DeclarativeBase):
    """Of mappings that no session can hold."""


class Setting(Loose):
    __tablename__ = "ext_settings"
    scope: Mapped[Any] = mapped_column(HSTORE, primary_key=True)
    value: Mapped[str]


@dataclass
class SettingCard:
    scope: Any
    value: str


@dataclass
class MessageCard:
    id: int
    folder: str
    headers: dict[str, str | None] | None


@dataclass
class AccountCard:
    email: str
    settings: dict[str, str | None]
    messages: list[MessageCard]


ACCOUNT = LoadPlan(Account, load(Account.messages, load(Message.place)), name="account")
ACCOUNT_CARD = LoadPlan(Account, into=AccountCard)
FOLDER = LoadPlan(Folder, load(Folder.messages, load(Message.account)), name="folder")
EVERYTHING = LoadPlan(Account)

NICKS = {"ada@x": "img10", "Bob@x": "img9", "cy@x": "Img1"}


@pytest.fixture(scope="module")
def system_url() -> Iterator[URL]:
    """A PostgreSQL with Debian's extensions; without one the test is skipped."""
    if find_postgres() is None:
        pytest.skip(MISSING)
    with system_postgres() as url:
        yield url


@pytest.fixture(params=DRIVERS)
async def mail(request: pytest.FixtureRequest, system_url: URL) -> AsyncIterator[AsyncEngine]:
    """Accounts whose messages spell their addresses in another way, in a tree of folders."""
    engine = create_async_engine(system_url.set(drivername=f"postgresql+{request.param}"))
    async with engine.begin() as connection:
        for each in ("citext", "hstore", "ltree"):
            await connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {each}"))
        await connection.execute(
            text("CREATE COLLATION IF NOT EXISTS ext_natural (provider = icu, locale = 'en-u-kn-true')")
        )
    await engine.dispose()  # SQLAlchemy asks each new connection for the number of hstore
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(Account(email=email, nick=nick, settings={"a": email}) for email, nick in NICKS.items())
            session.add_all(Folder(path=path, title=path.title()) for path in ("top", "top.work", "top.home"))
            await session.flush()
            session.add_all(
                Message(
                    id=number,
                    account_email=("ADA@x", "bob@X")[number % 2],
                    folder=("top.work", "top.home", "top")[number % 3],
                    headers={"n": str(number), "none": None} if number % 2 else None,
                )
                for number in range(1, 7)
            )
            await session.commit()
        yield engine
    await engine.dispose()


async def test_entities_and_views_hold_the_values(mail: AsyncEngine) -> None:
    loader = Loader(mail)
    for email in ("bob@x", "BOB@X"):
        for plan in (ACCOUNT, ACCOUNT_CARD):
            account: Any = await loader.fetch(plan, email)
            assert account.email == "Bob@x"
            assert account.settings == {"a": "Bob@x"}
            assert [(each.id, each.folder) for each in account.messages] == [
                (1, "top.home"),
                (3, "top.work"),
                (5, "top"),
            ]
            assert account.messages[0].headers == {"n": "1", "none": None}
    account = await loader.fetch(ACCOUNT, "bob@x")
    assert [each.place.title for each in account.messages] == ["Top.Home", "Top.Work", "Top"]
    assert all(each.account is account for each in account.messages)


@pytest.mark.parametrize("number", [1, 30])
async def test_many_keys_that_only_the_database_can_compare(mail: AsyncEngine, number: int) -> None:
    loader = Loader(mail)
    asked = ["ADA@X", "bob@x", "Ada@x", "cy@x", "nobody"] + [f"nobody {each}" for each in range(number)]
    for plan in (ACCOUNT, ACCOUNT_CARD):
        found: list[Any] = await loader.fetch_many(plan, asked, missing="skip")
        assert [each.email for each in found] == ["ada@x", "Bob@x", "ada@x", "cy@x"]
        assert [[one.id for one in each.messages] for each in found] == [[2, 4, 6], [1, 3, 5], [2, 4, 6], []]


async def test_paths_are_keys_at_both_ends(mail: AsyncEngine) -> None:
    loader = Loader(mail)
    found = await loader.fetch_many(FOLDER, ["top.home", "top", "top.work"])
    assert [[each.id for each in folder.messages] for folder in found] == [[1, 4], [2, 5], [3, 6]]
    assert {each.account.email for folder in found for each in folder.messages} == {"ada@x", "Bob@x"}
    below = await loader.fetch_all(FOLDER, Folder.path.op("<@")(text("'top'::ltree")), order_by=Folder.path)
    assert [each.path for each in below] == ["top", "top.home", "top.work"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Account.email, ["ada@x", "Bob@x", "cy@x"]),
        (Account.nick, ["cy@x", "Bob@x", "ada@x"]),
        (collate(Account.nick, "C").desc(), ["Bob@x", "ada@x", "cy@x"]),
        (Account.settings["a"], ["Bob@x", "ada@x", "cy@x"]),
    ],
    ids=["citext", "icu", "collate", "hstore"],
)
async def test_pages_follow_the_order_of_the_database(mail: AsyncEngine, order: Any, expected: list[str]) -> None:
    loader = Loader(mail)
    found, after = [], None
    while True:
        page = await loader.fetch_page(EVERYTHING, order, 1, after=after)
        found += [each.email for each in page.items]
        if (after := page.next) is None:
            break
    assert found == expected
    assert page.previous is not None
    before = await loader.fetch_page(EVERYTHING, order, 2, before=page.previous)
    assert [each.email for each in before.items] == expected[:-1]


async def test_pages_by_paths(mail: AsyncEngine) -> None:
    loader = Loader(mail)
    found, after = [], None
    while True:
        page = await loader.fetch_page(FOLDER, Folder.path.desc(), 1, after=after)
        found += [each.path for each in page.items]
        if (after := page.next) is None:
            break
    assert found == ["top.work", "top.home", "top"]


@pytest.mark.filterwarnings("ignore:Type object .*HSTORE:sqlalchemy.exc.SADeprecationWarning")  # asc() of one
async def test_hstores_are_keys_at_both_ends(mail: AsyncEngine) -> None:
    await fill_keys(mail, Realm, User, [{"a": "1"}, {"a": "2", "b": None}, {}])
    await check_keys(mail, Realm.users, User.realm, order=None)


async def test_collated_text_is_a_key_at_both_ends(mail: AsyncEngine) -> None:
    await fill_keys(mail, Album, Image, ["img10", "img9", "Img1"])
    await check_keys(mail, Album.images, Image.album, order=[3, 2, 1])


async def test_a_primary_key_without_a_hash(mail: AsyncEngine) -> None:
    """No session can hold such an object; its rows can be read as views."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Setting)
    assert str(caught.value) == (
        "LP223: the primary key of 'Setting' has values without a hash\n"
        "  at: Setting\n"
        "  detail: 'scope' is of type HSTORE. An object is found by its key, also in a SQLAlchemy session.\n"
        "  hint: read the rows as a view, with into=; or map a primary key of another type."
    )
    async with tables(mail, Loose.metadata):
        async with mail.begin() as connection:
            await connection.execute(insert(Setting), [{"scope": {"a": "1"}, "value": "x"}])
        found = await Loader(mail).fetch_all(LoadPlan(Setting, into=SettingCard))
    assert found == [SettingCard({"a": "1"}, "x")]


async def test_a_changed_setting_is_flushed(mail: AsyncEngine) -> None:
    account = await Loader(mail).fetch(ACCOUNT, "cy@x")
    async with AsyncSession(mail) as session:
        session.add(account)
        account.settings["b"] = "new"
        await session.commit()
    assert (await Loader(mail).fetch(ACCOUNT, "cy@x")).settings == {"a": "cy@x", "b": "new"}


async def test_each_graph_says_how_it_comes(mail: AsyncEngine) -> None:
    with recording(mail) as statements:
        await Loader(mail).fetch(ACCOUNT, "bob@x")
    assert len(statements.selects) == Loader(mail).explain(ACCOUNT).statements
