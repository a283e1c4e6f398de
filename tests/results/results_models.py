"""A forum for the tests of results: cascades, a hierarchy, deferred columns, and models that act when loaded."""

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    pass


topic_labels = Table(
    "res_topic_labels",
    Base.metadata,
    Column("topic_id", ForeignKey("res_topics.id"), primary_key=True),
    Column("label_id", ForeignKey("res_labels.id"), primary_key=True),
)


class Member(Base):
    __tablename__ = "res_members"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(default="nobody@example.org")
    biography: Mapped[str] = mapped_column(default="long", deferred=True)
    kind: Mapped[str] = mapped_column(default="member")
    topics: Mapped[list["Topic"]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Topic.id"
    )
    card: Mapped["Card | None"] = relationship(back_populates="member", cascade="all, delete-orphan")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "member"}


class Moderator(Member):
    __tablename__ = "res_moderators"
    id: Mapped[int] = mapped_column(ForeignKey("res_members.id"), primary_key=True)
    badge: Mapped[str] = mapped_column(default="star")
    watched: Mapped[list["Topic"]] = relationship(
        primaryjoin="Moderator.id == foreign(Topic.watcher_id)", order_by="Topic.id"
    )
    __mapper_args__ = {"polymorphic_identity": "moderator"}


class Card(Base):
    __tablename__ = "res_cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("res_members.id"), unique=True)
    member: Mapped[Member] = relationship(back_populates="card", single_parent=True)


class Topic(Base):
    __tablename__ = "res_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str] = mapped_column(default="")
    author_id: Mapped[int] = mapped_column(ForeignKey("res_members.id"))
    watcher_id: Mapped[int | None]
    author: Mapped[Member] = relationship(back_populates="topics")
    replies: Mapped[list["Reply"]] = relationship(
        back_populates="topic", cascade="all, delete-orphan", order_by="Reply.id"
    )
    labels: Mapped[list["Label"]] = relationship(secondary=topic_labels, back_populates="topics", order_by="Label.id")


class Reply(Base):
    __tablename__ = "res_replies"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="")
    topic_id: Mapped[int] = mapped_column(ForeignKey("res_topics.id"))
    topic: Mapped[Topic] = relationship(back_populates="replies")


class Label(Base):
    __tablename__ = "res_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    topics: Mapped[list[Topic]] = relationship(secondary=topic_labels, back_populates="labels", order_by="Topic.id")


MEMBER = LoadPlan(Member, name="member")
BRIEF = LoadPlan(Member, only=[Member.name], name="brief")
TOPIC = LoadPlan(Topic, load(Topic.author), load(Topic.replies), name="topic")
TOPICS = LoadPlan(Member, load(Member.topics), name="topics")
FORUM = LoadPlan(
    Member,
    load(Member.card),
    load(Member.topics, load(Topic.replies), load(Topic.labels)),
    name="forum",
)


async def seed(engine: AsyncEngine) -> None:
    """Members 1 and 2 (a moderator); topics 11, 12 of 1 and 13 of 2; replies 101 to 103; labels 1 and 2."""
    red, blue = Label(id=1, name="red"), Label(id=2, name="blue")
    async with AsyncSession(engine) as session:
        session.add_all(
            [
                Member(
                    id=1,
                    name="Ann",
                    card=Card(id=1),
                    topics=[
                        Topic(
                            id=11,
                            title="one",
                            watcher_id=2,
                            labels=[red, blue],
                            replies=[Reply(id=101), Reply(id=102)],
                        ),
                        Topic(id=12, title="two", labels=[blue], replies=[Reply(id=103)]),
                    ],
                ),
                Moderator(id=2, name="Ben", topics=[Topic(id=13, title="three")]),
            ]
        )
        await session.commit()
