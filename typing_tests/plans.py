"""What a type checker must accept, and with which type. Checked by mypy and pyright, never run."""

from typing import assert_type

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, mapped_column, relationship

from loadplan import Load, Loader, LoadPlan, load


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="author")
    drafts: Mapped[set["Post"]] = relationship(viewonly=True)
    by_title: Mapped[dict[str, "Post"]] = relationship(collection_class=attribute_keyed_dict("title"), viewonly=True)
    profile: Mapped["Profile | None"] = relationship()


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    author: Mapped[User] = relationship(back_populates="posts")


AUTHOR = LoadPlan(User, load(User.profile), only=[User.id, User.name], name="author")
PLAN = LoadPlan(User, load(User.posts, load(Post.author, AUTHOR), only=[Post.title]), name="user page")

assert_type(AUTHOR, LoadPlan[User])
assert_type(PLAN, LoadPlan[User])
assert_type(PLAN.also(load(User.profile)), LoadPlan[User])
assert_type(load(User.posts), Load[Post])
assert_type(load(User.drafts), Load[Post])
assert_type(load(User.by_title), Load[Post])
assert_type(load(User.profile), Load[Profile])
assert_type(load(Post.author), Load[User])


async def fetches(loader: Loader) -> None:
    assert_type(await loader.fetch(PLAN, 1), User)
    assert_type(await loader.fetch_or_none(PLAN, 1), User | None)
    assert_type(await loader.fetch_many(PLAN, [1, 2]), list[User])
    assert_type(await loader.fetch_one(PLAN, User.name == "x"), User)
    assert_type(await loader.fetch_all(PLAN, User.name == "x", order_by=User.name, limit=3), list[User])
