from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import in_one, recording, tables


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "smoke_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "smoke_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("smoke_users.id"))
    author: Mapped[User] = relationship(back_populates="posts")


async def test_a_graph_comes_back(engine: AsyncEngine) -> None:
    """One root, one collection: two statements, or one with nested rows. The children point back."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add(User(id=1, posts=[Post(id=1), Post(id=2)]))
            await session.commit()
        with recording(engine) as statements:
            user = await Loader(engine).fetch(LoadPlan(User, load(User.posts)), 1)
        assert len(statements.selects) == in_one(engine, 2)
        assert [post.id for post in user.posts] == [1, 2]
        assert all(post.author is user for post in user.posts)
