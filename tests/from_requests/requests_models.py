"""A forum that requests ask about: users, posts, comments, a tree of topics, staff of two kinds."""

from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load, on


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "req_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="user")
    first_name: Mapped[str]
    last_name: Mapped[str]
    secret: Mapped[str] = mapped_column(default="s")
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "user"}


class Moderator(User):
    level: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "moderator"}


class Post(Base):
    __tablename__ = "req_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str] = mapped_column(default="")
    published: Mapped[bool] = mapped_column(default=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("req_users.id"))
    author: Mapped[User] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")


class Comment(Base):
    __tablename__ = "req_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("req_posts.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("req_users.id"))
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[User] = relationship()


class Topic(Base):
    __tablename__ = "req_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[str] = mapped_column(default="n")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("req_topics.id"))
    children: Mapped[list["Topic"]] = relationship(order_by="Topic.id")


NAMES = LoadPlan(User, only=[User.first_name, User.last_name])
USER_API = LoadPlan(
    User,
    load(
        User.posts,
        load(Post.comments, load(Comment.author, NAMES), order_by=Comment.id, limit=3),
        where=Post.published,
        defer=[Post.body],
    ),
    on(Moderator, only=[Moderator.level]),
    defer=[User.secret],
    name="user api",
)
TOPICS = LoadPlan(Topic, load(Topic.children, depth="all", only=[Topic.name]), name="topics")


async def seed(engine: AsyncEngine) -> None:
    """Two users with posts, one of which is hidden; comments; topics in three levels."""
    async with AsyncSession(engine) as session:
        ada = User(id=1, first_name="Ada", last_name="Byron")
        bob = Moderator(id=2, first_name="Bob", last_name="Ross", level=7)
        posts = [Post(id=n, title=f"post {n}", author=ada, published=n != 13) for n in (11, 12, 13)]
        comments = [Comment(id=n, text=f"comment {n}", post=posts[0], author=bob) for n in range(21, 26)]
        root = Topic(id=1, name="all", children=[Topic(id=2, name="some", children=[Topic(id=3, name="one")])])
        session.add_all([ada, bob, *posts, *comments, root])
        await session.commit()
