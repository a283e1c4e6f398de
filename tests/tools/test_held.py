"""Plans checked against real databases: migrated, drifted, without indexes, on PostgreSQL, SQLite and MariaDB."""

import asyncio
import json
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine
from typer.testing import Result

from support import execute

Command = Callable[..., Result]

MODELS = """
from datetime import datetime

from sqlalchemy import Column, ForeignKey, Index, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


post_tag = Table(
    "post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list["Post"]] = relationship(secondary=post_tag, back_populates="tags")


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    written: Mapped[datetime]
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    author: Mapped[User] = relationship(back_populates="posts")
    tags: Mapped[list[Tag]] = relationship(secondary=post_tag, back_populates="posts")
"""

PLANS = """
import attrs
from loadplan import LoadPlan, load
from shop.models import Post, Tag, User

USER = LoadPlan(User, load(User.posts, load(Post.tags)), name="user")
NEWEST = LoadPlan(User, load(User.posts, order_by=Post.written.desc(), limit=5), name="newest")
TAG = LoadPlan(Tag, load(Tag.posts, only=[Post.title]), name="tag")


@attrs.frozen
class Card:
    id: int
    title: str


CARDS = LoadPlan(Post, into=Card)
"""

TABLES = (
    "CREATE TABLE users (id integer PRIMARY KEY, name varchar NOT NULL)",
    "CREATE TABLE tags (id integer PRIMARY KEY)",
    "CREATE TABLE posts (id integer PRIMARY KEY, title varchar NOT NULL, written timestamp NOT NULL,"
    " author_id integer NOT NULL REFERENCES users)",
    "CREATE TABLE post_tag (post_id integer REFERENCES posts, tag_id integer REFERENCES tags,"
    " PRIMARY KEY (post_id, tag_id))",
    "CREATE INDEX ix_posts_author_id ON posts (author_id)",
)

#: What the plans look for besides.
INDEXES = (
    "CREATE INDEX ix_tag ON post_tag (tag_id)",
    "CREATE INDEX ix_newest ON posts (author_id, written)",
)


class Database:
    """A database that a test may change."""

    def __init__(self, url: URL) -> None:
        self.url = url.render_as_string(hide_password=False)
        self._url = url

    def execute(self, *statements: str) -> None:
        asyncio.run(execute(self._url, *statements))


@pytest.fixture
def blog(shop: Path) -> None:
    """Other models and plans in the package."""
    (shop / "shop" / "models.py").write_text(MODELS)
    (shop / "shop" / "plans.py").write_text(PLANS)


@pytest.fixture
def database(server_url: URL, drivername: str, blog: None) -> Iterator[Database]:
    """A database with the tables of the mapping, and with the one index that the mapping knows."""
    name = f"loadplan_held_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    made = Database(server_url.set(drivername=drivername, database=name))
    made.execute(*TABLES)
    yield made
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def found(done: Result) -> list[tuple[str, str, str]]:
    return [(each["severity"], each["rule"], each["subject"]) for each in json.loads(done.stdout)["findings"]]


def test_a_migrated_database_with_all_indexes(command: Command, database: Database) -> None:
    """Nothing but notes: two indexes that the mapping does not know, of which one would serve a limit."""
    database.execute(*INDEXES)
    done = command("check", "shop", "--database", database.url, "--json", "--fail-on", "risk")
    assert done.exit_code == 0
    assert found(done) == [
        ("cost", "differs", "posts (author_id, written)"),
        ("note", "differs", "post_tag (tag_id)"),
    ]
    mends = json.loads(done.stdout)["findings"][0]["mends"]
    assert mends[0].startswith("add Index(")
    assert mends[1] == "or call loader.learn_indexes(...) when the application starts."
    assert json.loads(done.stdout)["database"].startswith("postgresql ")
    assert json.loads(done.stdout)["statements"] > len(json.loads(done.stdout)["plans"])


def test_missing_indexes_come_with_the_code_that_makes_them(command: Command, database: Database) -> None:
    """A foreign key, and a limit per parent; the text has SQL and Alembic, and each piece of SQL mends its finding."""
    done = command("check", "shop", "--database", database.url)
    assert done.exit_code == 1
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "do: CREATE INDEX ix_post_tag_tag_id ON post_tag (tag_id);" in lines
    assert 'Alembic: op.create_index("ix_post_tag_tag_id", "post_tag", ["tag_id"])' in lines
    assert "do: CREATE INDEX ix_posts_author_id_written ON posts (author_id, written);" in lines
    assert "shop.plans:NEWEST at User.posts" in lines
    assert done.stderr.strip().endswith("0 risks, 2 costs, 0 notes")
    database.execute(*(line[4:-1] for line in lines if line.startswith("do: CREATE INDEX")))
    again = command("check", "shop", "--database", database.url, "--json")
    assert {rule for _, rule, _ in found(again)} == {"differs"}


def test_an_order_in_two_directions_says_so_in_the_index(command: Command, database: Database, shop: Path) -> None:
    plans = (shop / "shop" / "plans.py").read_text()
    (shop / "shop" / "plans.py").write_text(
        plans.replace("order_by=Post.written.desc()", "order_by=[Post.title, Post.written.desc()]")
    )
    done = command("check", "shop.plans", "--database", database.url)
    assert "CREATE INDEX ix_posts_author_id_title_written ON posts (author_id, title, written DESC);" in done.stdout
    assert '"posts", ["author_id", "title", sa.text("written DESC")])' in done.stdout


def test_a_renamed_column_and_a_missing_table(command: Command, database: Database) -> None:
    """One finding for each, with the nearest name and all the plans that it breaks; the other plans are held on."""
    database.execute("ALTER TABLE posts RENAME COLUMN title TO titel", "DROP TABLE post_tag")
    done = command("check", "shop", "--database", database.url)
    assert done.exit_code == 1
    assert (
        "risk: the database has no column 'posts.title'\n"
        "  every fetch of the plan fails.\n"
        "  do: migrate the database, or correct the mapping.\n"
        "      did you mean 'titel'? Columns of posts: author_id, id, titel, written.\n"
    ) in done.stdout
    assert "risk: the database has no table 'post_tag'\n" in done.stdout
    assert "    shop.plans:CARDS at Post\n" in done.stdout
    assert "    shop.plans:TAG at Tag.posts\n" in done.stdout
    assert "posts_1" not in done.stdout


def test_a_column_that_no_plan_reads_may_be_missing(command: Command, database: Database, shop: Path) -> None:
    """``only=`` keeps it out of the statements, and the database is not asked for it."""
    database.execute("ALTER TABLE posts DROP COLUMN title", *INDEXES)
    (shop / "shop" / "plans.py").write_text(
        "from loadplan import LoadPlan\nfrom shop.models import Post\nFINE = LoadPlan(Post, only=[Post.written])\n"
    )
    assert command("check", "shop", "--database", database.url).exit_code == 0


def test_types_that_no_longer_fit(command: Command, database: Database) -> None:
    """Where the database refuses to compare, and where it would answer with something else than the mapping says."""
    database.execute(
        "ALTER TABLE posts DROP CONSTRAINT posts_author_id_fkey, ALTER author_id TYPE text",
        "ALTER TABLE posts ALTER written TYPE timestamptz",
        "ALTER TABLE users ALTER name TYPE text",
        *INDEXES,
    )
    done = command("check", "shop", "--database", database.url, "--json")
    assert done.exit_code == 1
    risks = [each for each in found(done) if each[0] == "risk"]
    assert ("risk", "type", "posts.author_id") in risks
    assert ("risk", "type", "posts.written") in risks
    assert ("risk", "statement", "'User'") in risks
    assert not any(subject == "users.name" for _, _, subject in found(done))
    said = [each["found"] for each in json.loads(done.stdout)["findings"]]
    assert "it is timestamp with time zone in the database and timestamp without time zone in the mapping" in said
    assert any("operator does not exist: text = integer" in each for each in said)


def test_an_invalid_index_is_none(command: Command, database: Database) -> None:
    """What a failed CREATE INDEX CONCURRENTLY leaves is listed, and never used."""
    database.execute(
        *INDEXES, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_tag'::regclass".replace(":", "\\:")
    )
    done = command("check", "shop", "--database", database.url, "--json")
    assert ("cost", "index", "post_tag (tag_id)") in found(done)


def test_a_partial_index_is_none(command: Command, database: Database) -> None:
    """It has not all rows of a key, unless those where the key is NULL are all that it leaves out."""
    database.execute(INDEXES[1], "CREATE INDEX part ON post_tag (tag_id) WHERE post_id > 5")
    done = command("check", "shop", "--database", database.url, "--json")
    assert ("cost", "index", "post_tag (tag_id)") in found(done)
    database.execute("CREATE INDEX nearly_whole ON post_tag (tag_id) WHERE tag_id IS NOT NULL")
    done = command("check", "shop", "--database", database.url, "--json")
    assert ("cost", "index", "post_tag (tag_id)") not in found(done)


def test_small_tables_are_left_out(command: Command, database: Database) -> None:
    """By name, in the settings too; by rows, where an empty table tells nothing."""
    done = command("check", "shop", "--database", database.url, "--small", "post_tag", "--small", "posts")
    assert done.exit_code == 0
    assert ", without indexes of post_tag, posts: 0 risks, 0 costs, " in done.stdout
    counted = command("check", "shop", "--database", database.url, "--rows", "3", "--json")
    assert len(found(counted)) == 2
    database.execute("INSERT INTO users VALUES (1, 'Ada')", "INSERT INTO posts VALUES (1, 'x', now(), 1)")
    counted = command("check", "shop", "--database", database.url, "--rows", "3", "--json")
    assert [subject for _, _, subject in found(counted)] == ["post_tag (tag_id)"]
    Path("pyproject.toml").write_text('[tool.loadplan]\nsmall-tables = ["post_tag"]\nrows = 3\n')
    assert command("check", "shop", "--database", database.url).exit_code == 0


def test_nothing_is_written(command: Command, database: Database) -> None:
    """Neither rows nor settings stay, and the role needs no more than to read."""
    database.execute(
        "ALTER DATABASE "
        + database.url.rpartition("/")[2].partition("?")[0]
        + " SET default_transaction_read_only = on"
    )
    assert command("check", "shop", "--database", database.url, "--fail-on", "risk").exit_code == 0


def test_annotations_and_sarif(command: Command, database: Database, shop: Path) -> None:
    """Both point at the line where the plan is written."""
    done = command("check", "shop", "--database", database.url, "--github", "--sarif", "found.sarif")
    assert done.exit_code == 1
    written = [line for line in done.stdout.splitlines() if line.startswith("::")]
    at = next(number for number, line in enumerate(PLANS.splitlines(), start=1) if line.startswith("NEWEST"))
    assert any(line.startswith(f"::warning file=shop/plans.py,line={at},title=cost%3A ") for line in written)
    assert all("%0A" in line for line in written)
    log = json.loads((shop / "found.sarif").read_text())
    results = log["runs"][0]["results"]
    assert log["version"] == "2.1.0"
    assert {each["ruleId"] for each in results} == {each["id"] for each in log["runs"][0]["tool"]["driver"]["rules"]}
    places = [each["locations"][0]["physicalLocation"] for each in results]
    assert {"artifactLocation": {"uri": "shop/plans.py"}, "region": {"startLine": at}} in places


def test_a_baseline_keeps_what_is_known(command: Command, database: Database) -> None:
    """Only what is new fails; the file holds it by name."""
    options = ("check", "shop", "--database", database.url, "--baseline", "known.json")
    assert command(*options).exit_code == 1
    assert command(*options, "--update-baseline").exit_code == 0
    assert command(*options).exit_code == 0
    database.execute("DROP INDEX ix_posts_author_id")
    done = command(*options)
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("cost: ")] == [
        "cost: posts (author_id): no index of the database starts with 'author_id'"
    ]
    assert command(*options, "--ignore", "posts (*").exit_code == 0


def test_sqlite_explains_too(command: Command, blog: None, tmp_path: Path) -> None:
    """Names and indexes; SQLite knows nothing of types."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        for each in TABLES:
            connection.execute(each)
    done = command("check", "shop", "--database", f"sqlite:///{file}", "--json")
    assert {subject for _, _, subject in found(done)} == {"post_tag (tag_id)", "posts (author_id, written)"}
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE posts RENAME COLUMN title TO titel")
        for each in INDEXES:
            connection.execute(each)
    done = command("check", "shop", "--database", f"sqlite+aiosqlite:///{file}", "--json")
    assert [each for each in found(done) if each[0] != "note"] == [
        ("risk", "statement", "posts.title"),
        ("cost", "differs", "posts (author_id, written)"),
    ]


def test_mariadb_explains_too(command: Command, blog: None, mariadb_url: URL) -> None:
    """Names and indexes, as MariaDB tells them."""
    engine = create_engine(mariadb_url.set(drivername="mariadb+pymysql"))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS post_tag, posts, tags, users")
            for each in TABLES:  # a reference names its column there, and text its length
                connection.exec_driver_sql(re.sub(r" REFERENCES \w+", "", each.replace("varchar", "varchar(20)")))
        options = ("check", "shop", "--database", mariadb_url.render_as_string(hide_password=False), "--json")
        assert {subject for _, _, subject in found(command(*options))} == {
            "post_tag (tag_id)",
            "posts (author_id, written)",
        }
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE posts RENAME COLUMN title TO titel")
        assert ("risk", "statement", "posts.title") in found(command(*options))
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS post_tag, posts, tags, users")
        engine.dispose()


#: (URL, what is said); all of them return 2
NO_DATABASE = [
    ("nowhere", "this is not the URL of a database\n  hint: write postgresql://user:password@host/name, for example."),
    ("oracel://x", "'oracel' cannot be used: "),
    ("postgresql://ada:secret@127.0.0.1:1/x", "cannot connect to postgresql+"),
]


@pytest.mark.parametrize(("url", "said"), NO_DATABASE)
def test_databases_that_are_none(command: Command, url: str, said: str) -> None:
    """Two, one clear message, and no password in it."""
    done = command("check", "shop", "--database", url)
    assert done.stderr[: len(said)] == said
    assert "secret" not in done.stderr
    assert done.exit_code == 2
