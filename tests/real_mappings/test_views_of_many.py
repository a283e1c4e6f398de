"""Views of what lies behind several collections, of the first row of one, of subclasses, of query expressions."""

from typing import Annotated, Any

import attrs
import pytest
from real import filled
from sqlalchemy import ForeignKey, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, query_expression, relationship

from loadplan import LoadPlan, PlanError, count, exists, load, on, source
from support import recording


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "many_authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")


class Post(Base):
    __tablename__ = "many_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id", back_populates="post")
    tags: Mapped[list["Tag"]] = relationship(secondary="many_post_tags", order_by="Tag.id")
    q: Mapped[int] = query_expression(literal(1))
    twice: Mapped[int] = query_expression(id + id)
    bare: Mapped[int | None] = query_expression()
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "post"}


class Video(Post):
    __tablename__ = "many_videos"
    id: Mapped[int] = mapped_column(ForeignKey(Post.id), primary_key=True)
    length: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "video"}


class Comment(Base):
    __tablename__ = "many_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))
    post: Mapped[Post] = relationship(back_populates="comments")
    likes: Mapped[list["Like"]] = relationship(order_by="Like.id")


class Like(Base):
    __tablename__ = "many_likes"
    id: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[int] = mapped_column(ForeignKey(Comment.id))


class Tag(Base):
    __tablename__ = "many_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class PostTag(Base):
    __tablename__ = "many_post_tags"
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey(Tag.id), primary_key=True)


def _rows() -> list[object]:
    one, two = Tag(id=1), Tag(id=2)
    return [
        Author(
            id=1,
            name="A",
            posts=[
                Post(
                    id=1,
                    tags=[one, two],
                    comments=[Comment(id=1, text="a", likes=[Like(id=1), Like(id=2)]), Comment(id=2, text="b")],
                ),
                Video(id=2, length=9, tags=[two], comments=[Comment(id=3, text="c", likes=[Like(id=3)])]),
                Post(id=3),
            ],
        ),
        Author(id=2, name="B", posts=[Video(id=4, length=2)]),
        Author(id=3, name="C"),
    ]


@attrs.frozen
class CommentView:
    text: str


@attrs.frozen
class PostView:
    id: int


@attrs.frozen
class VideoView:
    id: int
    length: int


FIELDS: dict[str, tuple[Any, list[Any]]] = {
    "values behind two": (
        Annotated[list[str], source(Author.posts, Post.comments, Comment.text)],
        [["a", "b", "c"], [], []],
    ),
    "values behind three": (
        Annotated[list[int], source(Author.posts, Post.comments, Comment.likes, Like.id)],
        [[1, 2, 3], [], []],
    ),
    "a tuple": (
        Annotated[tuple[str, ...], source(Author.posts, Post.comments, Comment.text)],
        [("a", "b", "c"), (), ()],
    ),
    "a set over an association": (Annotated[set[int], source(Author.posts, Post.tags, Tag.id)], [{1, 2}, set(), set()]),
    "each as often as it is there": (
        Annotated[list[int], source(Author.posts, Post.tags, Tag.id)],
        [[1, 2, 2], [], []],
    ),
    "a to-one between": (
        Annotated[list[str], source(Author.posts, Post.author, Author.posts, Post.author, Author.name)],
        [["A"] * 9, ["B"], []],
    ),
    "objects behind two": (
        Annotated[list[CommentView], source(Author.posts, Post.comments)],
        [[CommentView("a"), CommentView("b"), CommentView("c")], [], []],
    ),
    "with a criterion on the way": (
        Annotated[list[str], source(Author.posts.and_(Post.id > 1), Post.comments, Comment.text)],
        [["c"], [], []],
    ),
    "lists of lists": (
        Annotated[list[list[str]], source(Author.posts, Post.comments, Comment.text)],
        [[["a", "b"], ["c"], []], [[]], []],
    ),
    "counts added up": (Annotated[int, source(Author.posts, count(Post.comments))], [3, 0, 0]),
    "counts behind three": (Annotated[int, source(Author.posts, Post.comments, count(Comment.likes))], [3, 0, 0]),
    "counts with a condition": (
        Annotated[int, source(Author.posts, count(Post.comments, where=Comment.id > 1))],
        [2, 0, 0],
    ),
    "counts apart": (Annotated[list[int], source(Author.posts, count(Post.comments))], [[2, 1, 0], [0], []]),
    "any existence": (Annotated[bool, source(Author.posts, exists(Post.comments))], [True, False, False]),
    "a subclass's column": (Annotated[list[int], source(Author.posts.of_type(Video), Video.length)], [[9], [2], []]),
    "behind a subclass": (
        Annotated[list[str], source(Author.posts.of_type(Video), Post.comments, Comment.text)],
        [["c"], [], []],
    ),
    "the first as one": (
        Annotated[PostView | None, load(Author.posts, order_by=Post.id.desc(), limit=1)],
        [PostView(3), PostView(4), None],
    ),
    "the first by the mapped order": (
        Annotated[PostView | None, load(Author.posts, limit=1)],
        [PostView(1), PostView(4), None],
    ),
    "the first with a condition": (
        Annotated[PostView | None, load(Author.posts, where=Post.id < 3, order_by=Post.id.desc(), limit=1)],
        [PostView(2), None, None],
    ),
}


@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("name", FIELDS)
async def test_a_field_over_many_rows(engine: AsyncEngine, name: str, many: bool) -> None:
    """For one root and for all of them, in arrays and in statements of their own."""
    annotation, expected = FIELDS[name]
    view = attrs.make_class("View", {"x": attrs.field(type=annotation)}, frozen=True)
    plan: LoadPlan[Any] = LoadPlan(Author, into=view)
    async with filled(engine, Base.metadata, *_rows()) as loader:
        if many:
            views = await loader.fetch_all(plan, order_by=Author.id)
            assert [each.x async for each in loader.stream(plan, order_by=Author.id, batch_size=2)] == expected
        else:
            views = [await loader.fetch(plan, key) for key in (1, 2, 3)]
        assert [each.x for each in views] == expected


@attrs.frozen
class LatestComment:
    text: str
    like_count: Annotated[int, count(Comment.likes)]


@attrs.frozen
class PostWithLatest:
    id: int
    latest: Annotated[LatestComment | None, load(Post.comments, order_by=Comment.id.desc(), limit=1)]
    comments: list[CommentView]


async def test_the_first_of_a_collection_beside_the_collection(engine: AsyncEngine) -> None:
    """One row of each parent comes for the field, and the database picks it."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        views = await loader.fetch_all(LoadPlan(Post, into=PostWithLatest), order_by=Post.id)
        assert [(each.id, each.latest, len(each.comments)) for each in views] == [
            (1, LatestComment("b", 0), 2),
            (2, LatestComment("c", 1), 1),
            (3, None, 0),
            (4, None, 0),
        ]
        explained = loader.explain(LoadPlan(Post, into=PostWithLatest))
        assert any("LIMIT" in str(each) or "row_number" in str(each) for each in explained.sql)


def test_the_first_may_not_be_there() -> None:
    """A collection may be empty: the field must allow None. Without limit=1 it is no one object."""
    view = attrs.make_class("View", {"x": attrs.field(type=Annotated[PostView, load(Author.posts, limit=1)])})
    with pytest.raises(PlanError, match="LP301"):
        LoadPlan(Author, into=view)
    for given in (load(Author.posts), load(Author.posts, limit=2)):
        view = attrs.make_class("View", {"x": attrs.field(type=Annotated[PostView | None, given])})
        with pytest.raises(PlanError, match="LP306"):
            LoadPlan(Author, into=view)


async def test_the_first_shaped_beside_the_view(engine: AsyncEngine) -> None:
    """``load(..., limit=1)`` beside ``into=`` says the same for a field of the relationship's name."""
    view = attrs.make_class("View", {"posts": attrs.field(type=PostView | None)}, frozen=True)
    plan: LoadPlan[Any] = LoadPlan(Author, load(Author.posts, order_by=Post.id.desc(), limit=1), into=view)
    async with filled(engine, Base.metadata, *_rows()) as loader:
        views = await loader.fetch_all(plan, order_by=Author.id)
        assert [each.posts for each in views] == [PostView(3), PostView(4), None]


@attrs.frozen
class WithExpressions:
    id: int
    q: int
    twice: int


@attrs.frozen
class WithBare:
    bare: int | None


async def test_a_query_expression_with_a_default(engine: AsyncEngine) -> None:
    """Its value is what SQLAlchemy gives where no statement says otherwise."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        async with AsyncSession(engine) as session:
            posts = (await session.scalars(select(Post).order_by(Post.id))).all()
            expected = [WithExpressions(each.id, each.q, each.twice) for each in posts]
        with recording(engine) as recorded:
            assert await loader.fetch_all(LoadPlan(Post, into=WithExpressions), order_by=Post.id) == expected
        assert len(recorded.selects) == 1


def test_a_query_expression_without_a_default_is_refused() -> None:
    """Nothing says what it would be."""
    with pytest.raises(PlanError, match="LP303"):
        LoadPlan(Post, into=WithBare)


# --- where= on a column of a joined subclass -------------------------------------------------------------------------

WHERE: dict[str, tuple[Any, list[list[int]]]] = {
    "a subclass's column": (Video.length > 3, [[2], [], []]),
    "is not there": (Video.length.is_(None), [[1, 3], [], []]),
    "both tables": ((Video.length > 3) | (Post.id == 1), [[1, 2], [], []]),
    "negated": (~(Video.length > 3), [[], [4], []]),
}


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
@pytest.mark.parametrize("name", WHERE)
async def test_where_on_a_joined_subclass(engine: AsyncEngine, name: str, strategy: Any) -> None:
    """The condition means what it means over the subclass's table joined outward."""
    where, expected = WHERE[name]
    plans = [
        LoadPlan(Author, load(Author.posts, where=where, strategy=strategy)),
        LoadPlan(Author, load(Author.posts, on(Video), where=where, strategy=strategy)),
    ]
    async with filled(engine, Base.metadata, *_rows()) as loader:
        for plan in plans:
            found = await loader.fetch_all(plan, order_by=Author.id)
            assert [[each.id for each in one.posts] for one in found] == expected


async def test_where_on_a_joined_subclass_in_views(engine: AsyncEngine) -> None:
    """The same in counts, existences, values, limits and objects."""
    where = Video.length > 3
    fields: dict[str, tuple[Any, list[Any]]] = {
        "n": (Annotated[int, count(Author.posts, where=where)], [1, 0, 0]),
        "some": (Annotated[bool, exists(Author.posts, where=where)], [True, False, False]),
        "ids": (Annotated[list[int], source(Author.posts.and_(where), Post.id)], [[2], [], []]),
        "first": (Annotated[PostView | None, load(Author.posts, where=where, limit=1)], [PostView(2), None, None]),
    }
    view = attrs.make_class("View", {name: attrs.field(type=each) for name, (each, _) in fields.items()}, frozen=True)
    plan: LoadPlan[Any] = LoadPlan(Author, into=view)
    async with filled(engine, Base.metadata, *_rows()) as loader:
        for views in (
            await loader.fetch_all(plan, order_by=Author.id),
            [await loader.fetch(plan, key) for key in (1, 2, 3)],
        ):
            for name, (_, expected) in fields.items():
                assert [getattr(each, name) for each in views] == expected


async def test_where_on_a_joined_subclass_by_its_own_relationship(engine: AsyncEngine) -> None:
    """A to-one whose target is the base: rows that fail leave None."""
    plan = LoadPlan(Comment, load(Comment.post, where=Video.length > 3))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        found = await loader.fetch_all(plan, order_by=Comment.id)
        assert [each.post and each.post.id for each in found] == [None, None, 2]
