"""A small forum: its mapping, its rows, and the plans that the replica serves."""

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    """The base class of the forum's mapping."""


class Member(Base):
    """A person who writes messages."""

    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    visits: Mapped[list["Visit"]] = relationship(order_by="Visit.topic_id")


class Topic(Base):
    """A topic with its messages."""

    __tablename__ = "topics"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    opened_by_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    opened_by: Mapped[Member] = relationship()
    messages: Mapped[list["Message"]] = relationship(order_by="Message.id")


class Message(Base):
    """A message. Its replies form a tree below it."""

    __tablename__ = "messages"
    __table_args__ = (Index("messages_of_topic", "topic_id", "id"), Index("replies_of_message", "reply_to_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    reply_to_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    author: Mapped[Member] = relationship()
    replies: Mapped[list["Message"]] = relationship(order_by="Message.id")


class Visit(Base):
    """A visit of a member to a topic, with a composite key."""

    __tablename__ = "visits"

    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"), primary_key=True)
    notes: Mapped[list["Note"]] = relationship(order_by="Note.id")


class Note(Base):
    """A note of a member on a visit, with a foreign key of two columns."""

    __tablename__ = "notes"
    __table_args__ = (ForeignKeyConstraint(["member_id", "topic_id"], ["visits.member_id", "visits.topic_id"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    member_id: Mapped[int]
    topic_id: Mapped[int]


MEMBER = LoadPlan(Member, name="member")
"""One statement."""

TOPIC = LoadPlan(
    Topic, load(Topic.opened_by), load(Topic.messages, load(Message.author), strategy="selectin"), name="topic"
)
"""A plan with two statements. The keys of the second statement are an array parameter."""

LATEST = LoadPlan(
    Topic,
    load(Topic.messages, load(Message.author), order_by=Message.id.desc(), limit=2, strategy="selectin"),
    name="latest messages",
)
"""A plan for the last two messages of each topic: LATERAL over the array of keys."""

THREADS = LoadPlan(
    Topic,
    load(Topic.messages, load(Message.replies, depth="all"), where=Message.reply_to_id.is_(None), strategy="selectin"),
    name="threads",
)
"""A plan for whole trees of replies: a recursive common table expression."""

NOTES = LoadPlan(Member, load(Member.visits, load(Visit.notes, strategy="selectin"), strategy="selectin"), name="notes")
"""A plan with composite keys: one array for each column, in ``unnest``."""


def rows() -> list[Base]:
    """Return three members, topics 1 to 20 with five messages each (three are replies), and a few visits with notes."""
    members = [Member(id=number, name=name) for number, name in enumerate(("Ann", "Ben", "Cid"), start=1)]
    topics = [Topic(id=number, title=f"Topic {number}", opened_by_id=1 + number % 3) for number in range(1, 21)]
    messages = [
        Message(
            id=topic.id * 10 + place,
            text=f"message {place} of topic {topic.id}",
            topic_id=topic.id,
            author_id=1 + place % 3,
            reply_to_id=topic.id * 10 + answers if answers else None,
        )
        for topic in topics
        for place, answers in ((1, None), (2, 1), (3, 2), (4, 1), (5, None))
    ]
    visits = [
        Visit(member_id=1, topic_id=topic, notes=[Note(id=topic, text="seen"), Note(id=100 + topic, text="again")])
        for topic in (1, 2)
    ]
    return [*members, *topics, *messages, *visits]


async def make_forum(engine: AsyncEngine) -> None:
    """Create the forum's tables with their rows."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        for each in rows():
            session.add(each)
            if not isinstance(each, Visit):
                await session.flush()  # keep this order: no relationship shows it to SQLAlchemy
        await session.commit()
