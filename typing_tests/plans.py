"""What a type checker must accept, and with which type. Checked by mypy and pyright, never run."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar, assert_type

import attrs
from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, mapped_column, relationship

from loadplan import (
    BatchedLoader,
    Load,
    Loader,
    LoadPlan,
    Page,
    RootCondition,
    RootOrderBy,
    SyncLoader,
    aggregate,
    count,
    exists,
    keep_default,
    load,
    on,
    source,
)

T = TypeVar("T")


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
assert_type(load(User.posts.and_(Post.id > 1)), Load[Any])
assert_type(load(User.drafts), Load[Post])
assert_type(load(User.by_title), Load[Post])
assert_type(load(User.profile), Load[Profile])
assert_type(load(Post.author), Load[User])


def synchronous_fetches(loader: SyncLoader) -> None:
    assert_type(loader.fetch(PLAN, 1), User)
    assert_type(loader.fetch_or_none(PLAN, 1), User | None)
    assert_type(loader.fetch_many(PLAN, [1]), list[User])
    assert_type(loader.fetch_one(PLAN, User.id == 1), User)
    assert_type(loader.fetch_one_or_none(PLAN, User.id == 1), User | None)
    assert_type(loader.fetch_all(PLAN), list[User])
    assert_type(loader.fetch_page(PLAN, total="exact"), Page[User])
    assert_type(loader.count(User), int)
    assert_type(loader.exists(PLAN), bool)
    for user in loader.stream(PLAN):
        assert_type(user, User)


async def attached_and_extended(loader: Loader, sync: SyncLoader, user: User, users: list[User]) -> None:
    assert_type(await loader.fetch_attached(PLAN, 1, refresh=True, for_update=True), User)
    assert_type(await loader.extend(user, load(User.posts), only=[User.name]), User)
    assert_type(await loader.extend(users, load(User.posts, load(Post.author))), list[User])
    assert_type(await loader.extend({user}, PLAN), list[User])
    assert_type(sync.fetch_attached(PLAN, 1), User)
    assert_type(sync.extend(user, load(User.posts)), User)
    assert_type(sync.extend((user, user), load(User.posts)), list[User])


async def batches_and_counts(loader: Loader) -> None:
    assert_type(loader.batched(), BatchedLoader)
    assert_type(await loader.batched().fetch(PLAN, 1), User)
    assert_type(await loader.batched().fetch_or_none(PLAN, 1), User | None)
    assert_type(await loader.count(User, User.id == 1), int)
    assert_type(await loader.exists(PLAN), bool)
    assert_type((await loader.fetch_page(PLAN, total="estimated")).total, int | None)


ORDERS: dict[str, RootOrderBy] = {"name": User.name, "boss": source(Post.author, User.name)}


async def lists_that_a_request_shapes(loader: Loader, order: str, conditions: list[RootCondition]) -> None:
    conditions.append(User.name == "x")
    conditions.append(source(Post.author, User.name == "x"))
    assert_type(await loader.fetch_all(PLAN, conditions, order_by=ORDERS[order].desc()), list[User])


async def fetches(loader: Loader) -> None:
    assert_type(await loader.fetch(PLAN, 1), User)
    assert_type(await loader.fetch_or_none(PLAN, 1), User | None)
    assert_type(await loader.fetch_many(PLAN, [1, 2]), list[User])
    assert_type(await loader.fetch_one(PLAN, User.name == "x"), User)
    assert_type(await loader.fetch_one_or_none(PLAN, User.name == "x"), User | None)
    assert_type(await loader.fetch_all(PLAN, User.name == "x", order_by=User.name, limit=3), list[User])


# --- views ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class AuthorRef:
    id: int
    name: str


@attrs.frozen
class PostCard:
    id: int
    author: AuthorRef
    first_title: Annotated[str | None, source(Post.author, aggregate(User.posts, func.min(Post.title)))]
    siblings: Annotated[int, source(Post.author, count(User.posts, where=Post.id > 3))]
    by_known: Annotated[bool, exists(Post.author)]
    author_name: Annotated[str, source(Post.author, User.name)]
    note: Annotated[str, keep_default] = ""


@dataclass
class UserCard(Generic[T]):
    posts: list[T]


POST_CARD = LoadPlan(Post, into=PostCard)
USER_CARD = LoadPlan(User, load(User.posts, order_by=Post.id, limit=3), into=UserCard[PostCard], name="user card")

assert_type(POST_CARD, LoadPlan[PostCard])
assert_type(LoadPlan(Post, into=PostCard), LoadPlan[PostCard])
assert_type(USER_CARD, LoadPlan[UserCard[PostCard]])
assert_type(USER_CARD.also(load(User.profile)), LoadPlan[UserCard[PostCard]])
CARDS = AuthorRef | PostCard
assert_type(LoadPlan(User, into=CARDS), LoadPlan[Any])
assert_type(LoadPlan(User, into=AuthorRef | PostCard), LoadPlan[Any])
assert_type(LoadPlan(User, on(User, into=AuthorRef), into=AuthorRef | PostCard), LoadPlan[Any])


async def fetches_views(loader: Loader) -> None:
    assert_type(await loader.fetch(POST_CARD, 1), PostCard)
    assert_type(await loader.fetch_or_none(POST_CARD, 1), PostCard | None)
    assert_type(await loader.fetch_many(POST_CARD, [1, 2]), list[PostCard])
    assert_type(await loader.fetch_one(POST_CARD, Post.title == "x"), PostCard)
    assert_type(await loader.fetch_all(USER_CARD), list[UserCard[PostCard]])
    assert_type(await loader.fetch_page(POST_CARD, order_by=Post.id, size=3), Page[PostCard])
    cards: AsyncIterator[PostCard] = loader.stream(POST_CARD, order_by=Post.id)
    async for card in cards:
        assert_type(card, PostCard)
        assert_type(card.author.name, str)


# --- plans with a Protocol ------------------------------------------------------------------------------------------


class PostPart(Protocol):
    @property
    def title(self) -> str: ...


class UserPage(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def posts(self) -> Sequence[PostPart]: ...


USER_PAGE = LoadPlan(User, load(User.posts), typed=UserPage, only=[User.name], name="user page")

assert_type(USER_PAGE, LoadPlan[UserPage])
assert_type(USER_PAGE.also(load(User.profile)), LoadPlan[UserPage])


async def fetches_typed(loader: Loader) -> None:
    user = await loader.fetch(USER_PAGE, 1)
    assert_type(user, UserPage)
    assert_type(user.posts[0].title, str)


assert_type(LoadPlan.for_paths(User, ["name"], allowed=PLAN), LoadPlan[User])
