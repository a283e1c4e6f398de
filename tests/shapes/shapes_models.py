"""A blog, a tree and a company whose every row belongs to a tenant, with random rows; and graphs as plain values."""

import random
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Scoped:
    """Every row is of a tenant; the tests are tenant 1."""

    tenant: Mapped[int] = mapped_column(default=1)


post_tags = Table(
    "shp_post_tags",
    Base.metadata,
    Column("post_id", ForeignKey("shp_posts.id")),
    Column("tag_id", ForeignKey("shp_tags.id")),
    Column("pos", Integer),
)
friends = Table(
    "shp_friends",
    Base.metadata,
    Column("of_id", ForeignKey("shp_nodes.id")),
    Column("to_id", ForeignKey("shp_nodes.id")),
)


class Country(Scoped, Base):
    __tablename__ = "shp_countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class User(Scoped, Base):
    __tablename__ = "shp_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    country_id: Mapped[int | None] = mapped_column(ForeignKey("shp_countries.id"))
    country: Mapped[Country | None] = relationship()
    posts: Mapped[list["Post"]] = relationship(back_populates="author", cascade="all, delete-orphan")
    notes: Mapped[list["Note"]] = relationship(order_by="Note.score")


class Post(Scoped, Base):
    """An index on (user_id, score): LATERAL serves."""

    __tablename__ = "shp_posts"
    __table_args__ = (Index("shp_posts_of_user", "user_id", "score"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("shp_users.id"))
    score: Mapped[int]
    title: Mapped[str | None]
    author: Mapped[User | None] = relationship(back_populates="posts")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tags, back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post")


class Note(Scoped, Base):
    """No index on its key: the window function serves, on PostgreSQL too."""

    __tablename__ = "shp_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("shp_users.id"))
    score: Mapped[int]
    country_id: Mapped[int | None] = mapped_column(ForeignKey("shp_countries.id"))
    country: Mapped[Country | None] = relationship()


class Tag(Scoped, Base):
    __tablename__ = "shp_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    posts: Mapped[list[Post]] = relationship(secondary=post_tags, back_populates="tags")


class Comment(Scoped, Base):
    __tablename__ = "shp_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int | None] = mapped_column(ForeignKey("shp_posts.id"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("shp_users.id"))
    n: Mapped[int]
    post: Mapped[Post | None] = relationship(back_populates="comments")
    author: Mapped[User | None] = relationship()


class Node(Scoped, Base):
    __tablename__ = "shp_nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shp_nodes.id"))
    rank: Mapped[int] = mapped_column(default=0)
    kids: Mapped[list["Node"]] = relationship(back_populates="parent")
    parent: Mapped["Node | None"] = relationship(back_populates="kids", remote_side=[id])
    friends: Mapped[list["Node"]] = relationship(
        secondary=friends, primaryjoin=id == friends.c.of_id, secondaryjoin=id == friends.c.to_id
    )


class Company(Scoped, Base):
    __tablename__ = "shp_companies"
    id: Mapped[int] = mapped_column(primary_key=True)
    staff: Mapped[list["Staff"]] = relationship(order_by="Staff.id")


class Staff(Scoped, Base):
    __tablename__ = "shp_staff"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "staff"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    company_id: Mapped[int | None] = mapped_column(ForeignKey("shp_companies.id"))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("shp_managers.id", use_alter=True, name="shp_boss"))


class Manager(Staff):
    __tablename__ = "shp_managers"
    id: Mapped[int] = mapped_column(ForeignKey("shp_staff.id"), primary_key=True)
    budget: Mapped[int]
    reports: Mapped[list[Staff]] = relationship(foreign_keys=[Staff.boss_id], order_by=Staff.id)
    __mapper_args__ = {"polymorphic_identity": "manager", "inherit_condition": id == Staff.id}


Rows = dict[str, list[dict[str, Any]]]


def random_rows(seed: int = 1, users: int = 12) -> Rows:
    """Rows of two tenants, mixed at every level; ties in every order, NULLs, duplicate association rows, cycles."""
    rnd = random.Random(seed)  # noqa: S311 - reproducible rows

    def tenant() -> int:
        return rnd.choice([1, 1, 2])

    def one_of(count: int) -> int | None:
        return rnd.choice([None, *range(1, count + 1)])

    count = users * 6
    return {
        "shp_countries": [{"id": i, "name": rnd.choice([None, "a", "b"]), "tenant": tenant()} for i in range(1, 5)],
        "shp_users": [
            {"id": i, "name": rnd.choice([None, "x", "y"]), "country_id": one_of(4), "tenant": tenant()}
            for i in range(1, users + 1)
        ],
        "shp_posts": [
            {
                "id": i,
                "user_id": one_of(users),
                "score": rnd.randrange(4),
                "title": rnd.choice([None, "p", "q"]),
                "tenant": tenant(),
            }
            for i in range(1, count + 1)
        ],
        "shp_notes": [
            {
                "id": i,
                "user_id": one_of(users),
                "score": rnd.randrange(4),
                "country_id": one_of(4),
                "tenant": tenant(),
            }
            for i in range(1, count + 1)
        ],
        "shp_tags": [{"id": i, "name": rnd.choice([None, "t", "u"]), "tenant": tenant()} for i in range(1, 7)],
        "shp_comments": [
            {
                "id": i,
                "post_id": one_of(count),
                "author_id": one_of(users),
                "n": rnd.randrange(3),
                "tenant": tenant(),
            }
            for i in range(1, 2 * count + 1)
        ],
        "shp_nodes": [
            {"id": i, "parent_id": one_of(20), "rank": rnd.randrange(3), "tenant": tenant()} for i in range(1, 21)
        ],
        "shp_post_tags": [
            {"post_id": rnd.randint(1, count), "tag_id": rnd.randint(1, 6), "pos": rnd.randrange(3)}
            for _ in range(3 * count)
        ],
        "shp_friends": [{"of_id": rnd.randint(1, 20), "to_id": rnd.randint(1, 20)} for _ in range(25)],
        "shp_companies": [{"id": i, "tenant": tenant()} for i in range(1, 4)],
        "shp_staff": [
            {"id": i, "kind": "manager" if i % 2 else "staff", "company_id": one_of(3), "tenant": tenant()}
            for i in range(1, 21)
        ],
        "shp_managers": [{"id": i, "budget": i * 10} for i in range(1, 21, 2)],
        "bosses": [{"b_id": i, "b_boss": rnd.choice([None, 1, 3, 5, 7])} for i in range(1, 21)],
    }


def of_tenant_alone(rows: Rows, tenant: int = 1) -> Rows:
    """The same rows without those of others: what a tenant filter must make a database look like."""
    gone = {
        name: {each["id"] for each in found if each.get("tenant", tenant) != tenant}
        for name, found in rows.items()
        if found and "id" in found[0]
    }
    gone["shp_managers"] = gone["shp_staff"]
    gone["bosses"] = gone["shp_staff"]
    references = {
        column.name: table.name
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        for column, table in [(key.parent, key.column.table)]
    } | {"b_id": "shp_staff", "b_boss": "shp_staff"}
    association = {"shp_post_tags", "shp_friends"}

    def kept(name: str, row: dict[str, Any]) -> dict[str, Any] | None:
        if row.get("id", row.get("b_id")) in gone.get(name, ()):
            return None
        row = {
            key: None if key != "id" and key in references and value in gone[references[key]] else value
            for key, value in row.items()
        }
        return None if name in association and None in row.values() else row

    return {name: [new for row in found if (new := kept(name, row))] for name, found in rows.items()}


async def insert_rows(engine: AsyncEngine, rows: Rows) -> None:
    """Insert rows; references within a table are set afterwards."""
    tables = Base.metadata.tables
    async with engine.begin() as connection:
        for name, found in rows.items():
            if name == "bosses":
                for row in found:
                    staff = tables["shp_staff"]
                    await connection.execute(
                        staff.update().where(staff.c.id == row["b_id"]).values(boss_id=row["b_boss"])
                    )
            elif name == "shp_nodes":
                nodes = tables[name]
                await connection.execute(insert(nodes), [row | {"parent_id": None} for row in found])
                for row in found:
                    await connection.execute(
                        nodes.update().where(nodes.c.id == row["id"]).values(parent_id=row["parent_id"])
                    )
            elif found:
                await connection.execute(insert(tables[name]), found)


async def empty(engine: AsyncEngine) -> None:
    """Delete every row."""
    names = ", ".join(Base.metadata.tables)
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text(f"TRUNCATE {names}"))
        else:
            if engine.dialect.name == "mariadb":  # rows may refer to each other in circles
                await connection.execute(text("SET foreign_key_checks = 0"))
            for table in Base.metadata.tables.values():
                await connection.execute(table.delete())
            if engine.dialect.name == "mariadb":
                await connection.execute(text("SET foreign_key_checks = 1"))


Name = tuple[str, Any]


def name_of(entity: object) -> Name:
    """Class and identity of an object."""
    return type(entity).__name__, inspect(entity).identity


def graph(roots: Iterable[object], *, ordered: bool = True) -> tuple[list[Name], dict[Name, dict[str, Any]]]:
    """All that hangs on roots, through loaded relationships, as plain values; collections sorted on request."""
    start = list(roots)
    found: dict[Name, dict[str, Any]] = {}
    waiting: list[Any] = list(start)
    while waiting:
        entity = waiting.pop()
        if name_of(entity) in found:
            continue
        facts = found[name_of(entity)] = {}
        for prop in inspect(entity).mapper.relationships:
            if prop.key in entity.__dict__:
                value = entity.__dict__[prop.key]
                values = (
                    list(value.values() if isinstance(value, Mapping) else value)
                    if isinstance(value, Collection)
                    else value
                )
                waiting += values if isinstance(values, list) else [values] if values is not None else []
                if isinstance(values, list):
                    names = [name_of(each) for each in values]
                    facts[prop.key] = names if ordered else sorted(names)
                else:
                    facts[prop.key] = values and name_of(values)
    return [name_of(root) for root in start], found
