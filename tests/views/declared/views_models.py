"""A small blog that views are declared over: every kind of relationship, and attributes of every kind."""

import datetime
import decimal
import enum
from typing import Any

import attrs
from sqlalchemy import Column, DateTime, ForeignKey, Table, UniqueConstraint, func, insert
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.hybrid import hybrid_method, hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    attribute_keyed_dict,
    column_property,
    composite,
    mapped_column,
    relationship,
    synonym,
)


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    CALM = "calm"
    LOUD = "loud"


@attrs.frozen
class Place:
    street: str
    town: str


class Country(Base):
    __tablename__ = "dcl_countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "dcl_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    street: Mapped[str] = mapped_column(default="Main Street")
    town: Mapped[str] = mapped_column(default="Springfield")
    country_id: Mapped[int | None] = mapped_column(ForeignKey("dcl_countries.id"))
    country: Mapped[Country | None] = relationship()
    profile: Mapped["Profile | None"] = relationship(back_populates="user")
    posts: Mapped[list["Post"]] = relationship(
        back_populates="author", foreign_keys="Post.author_id", order_by="Post.id"
    )
    any_posts: DynamicMapped["Post"] = relationship(viewonly=True, foreign_keys="Post.author_id", order_by="Post.id")
    own_posts: WriteOnlyMapped["Post"] = relationship(viewonly=True, foreign_keys="Post.author_id", order_by="Post.id")
    address: Mapped[Place] = composite("street", "town")


class Profile(Base):
    __tablename__ = "dcl_profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    bio: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("dcl_users.id"), unique=True)
    user: Mapped[User] = relationship(back_populates="profile")


post_tags = Table(
    "dcl_post_tags",
    Base.metadata,
    Column("post_id", ForeignKey("dcl_posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("dcl_tags.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "dcl_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Comment(Base):
    __tablename__ = "dcl_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    approved: Mapped[bool]
    score: Mapped[int]
    written_at: Mapped[datetime.datetime] = mapped_column(DateTime)
    post_id: Mapped[int] = mapped_column(ForeignKey("dcl_posts.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("dcl_users.id"))
    post: Mapped["Post"] = relationship(back_populates="comments")
    author: Mapped[User] = relationship()


class Setting(Base):
    __tablename__ = "dcl_settings"
    __table_args__ = (UniqueConstraint("post_id", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    value: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("dcl_posts.id"))


class Post(Base):
    __tablename__ = "dcl_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column()
    subtitle: Mapped[str | None]
    mood: Mapped[Mood]
    price: Mapped[decimal.Decimal]
    published_on: Mapped[datetime.date]
    body: Mapped[str] = mapped_column(deferred=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("dcl_users.id"))
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("dcl_users.id"))
    author: Mapped[User] = relationship(back_populates="posts", foreign_keys=author_id)
    editor: Mapped[User | None] = relationship(foreign_keys=editor_id)
    tags: Mapped[list[Tag]] = relationship(secondary=post_tags, order_by=Tag.id)
    comments: Mapped[list[Comment]] = relationship(back_populates="post", order_by=Comment.id)
    settings: Mapped[dict[str, Setting]] = relationship(collection_class=attribute_keyed_dict("key"))
    title_length: Mapped[int] = column_property(func.length(title))
    headline = synonym("title")
    writer = synonym("author")
    author_name: AssociationProxy[str] = association_proxy("author", "name")
    editor_name: AssociationProxy[str | None] = association_proxy("editor", "name")
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name")

    @hybrid_property
    def loud_title(self) -> str:
        return self.title + "!"

    @hybrid_method
    def is_by(self, author_id: int) -> bool:
        return self.author_id == author_id

    @property
    def url(self) -> str:
        return f"/posts/{self.id}"

    def publish(self) -> None: ...


class Topic(Base):
    """A tree."""

    __tablename__ = "dcl_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("dcl_topics.id"), index=True)
    parent: Mapped["Topic | None"] = relationship(back_populates="children", remote_side=id)
    children: Mapped[list["Topic"]] = relationship(back_populates="parent", order_by="Topic.id")


NOON = datetime.datetime(2026, 3, 1, 12)

#: Three posts: one with everything, one with nothing, one with nothing but an editor.
ROWS: dict[Any, list[dict[str, Any]]] = {
    Country.__table__: [{"id": 1, "name": "Iceland"}],
    User.__table__: [
        {"id": 1, "name": "ann", "street": "A", "town": "Alpha", "country_id": 1},
        {"id": 2, "name": "bob", "street": "B", "town": "Beta", "country_id": None},
    ],
    Profile.__table__: [{"id": 1, "bio": "writes", "user_id": 1}],
    Post.__table__: [
        {
            "id": number,
            "title": title,
            "subtitle": subtitle,
            "mood": mood,
            "price": decimal.Decimal(number),
            "published_on": datetime.date(2026, 1, number),
            "body": "text",
            "author_id": author,
            "editor_id": editor,
        }
        for number, title, subtitle, mood, author, editor in (
            (1, "one", "first", Mood.CALM, 1, 2),
            (2, "two", None, Mood.LOUD, 2, None),
            (3, "three", None, Mood.CALM, 2, 1),
        )
    ],
    Tag.__table__: [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
    post_tags: [{"post_id": 1, "tag_id": 1}, {"post_id": 1, "tag_id": 2}],
    Comment.__table__: [
        {
            "id": number,
            "text": text,
            "approved": approved,
            "score": number * 10,
            "written_at": NOON + datetime.timedelta(days=number),
            "post_id": 1,
            "author_id": author,
        }
        for number, text, approved, author in ((1, "good", True, 2), (2, "bad", False, 2), (3, "fine", True, 1))
    ],
    Setting.__table__: [
        {"id": 1, "key": "color", "value": "green", "post_id": 1},
        {"id": 2, "key": "size", "value": "big", "post_id": 1},
    ],
    Topic.__table__: [
        {"id": 1, "name": "root", "parent_id": None},
        {"id": 2, "name": "left", "parent_id": 1},
        {"id": 3, "name": "right", "parent_id": 1},
        {"id": 4, "name": "leaf", "parent_id": 2},
    ],
}


async def insert_rows(engine: AsyncEngine) -> None:
    """Fill the tables."""
    async with engine.begin() as connection:
        for table, rows in ROWS.items():
            await connection.execute(insert(table), rows)
