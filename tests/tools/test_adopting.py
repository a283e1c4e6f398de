"""Options read back: the plan that is printed loads the same graph, on data, as the statement with its options."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, Select, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    contains_eager,
    defaultload,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    mapped_column,
    raiseload,
    relationship,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    undefer,
    with_loader_criteria,
)
from typer.testing import Result

from loadplan import Loader, LoadPlan, load, on
from loadplan.tools.adopting import NotAdoptable, plan_of_options
from support import tables


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "adopt_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="user")
    letter: Mapped[str] = mapped_column(default="", deferred=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    badge: Mapped["Badge | None"] = relationship(back_populates="user", lazy="joined")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}


class Editor(User):
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("adopt_desk.id"))
    desk: Mapped["Desk | None"] = relationship()
    __mapper_args__ = {"polymorphic_identity": "editor"}


class Desk(Base):
    __tablename__ = "adopt_desk"
    id: Mapped[int] = mapped_column(primary_key=True)


class Badge(Base):
    """Comes with every query of its user, as the mapping says."""

    __tablename__ = "adopt_badge"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("adopt_user.id"), unique=True)
    user: Mapped[User] = relationship(back_populates="badge")


class Post(Base):
    __tablename__ = "adopt_post"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str] = mapped_column(default="")
    author_id: Mapped[int] = mapped_column(ForeignKey("adopt_user.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("adopt_post.id"))
    author: Mapped[User] = relationship(back_populates="posts")
    replies: Mapped[list["Post"]] = relationship(order_by="Post.id")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")


class Comment(Base):
    __tablename__ = "adopt_comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("adopt_post.id"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("adopt_user.id"))
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[User | None] = relationship()


@pytest.fixture(scope="module")
async def rows(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session, session.begin():
            session.add(Desk(id=1))
            await session.flush()
            session.add_all([User(id=1, name="Ada"), Editor(id=2, name="Bob", desk_id=1), User(id=3, name="Eve")])
            await session.flush()
            session.add(Badge(id=1, user_id=1))
            session.add_all([Post(id=n, title=f"t{n}", author_id=1 + n % 2) for n in (1, 2, 3)])
            await session.flush()
            session.add_all(
                [Post(id=4, title="t4", author_id=3, parent_id=1), Post(id=5, title="t5", author_id=3, parent_id=4)]
            )
            session.add_all([Comment(id=n, post_id=1 + n % 3, author_id=2 if n % 2 else None) for n in range(1, 8)])
        yield postgres


#: Statements, and the code that is printed for each.
CASES: list[tuple[Callable[[], Select[Any]], str]] = [
    (
        lambda: select(User).options(selectinload(User.posts).joinedload(Post.comments).selectinload(Comment.author)),
        "LoadPlan(\n"
        "    User,\n"
        "    load(User.posts, load(Post.comments, load(Comment.author, load(User.badge)))),\n"
        "    load(User.badge),\n"
        ")",
    ),
    (
        lambda: select(User).options(
            selectinload(User.posts).options(
                load_only(Post.title), selectinload(Post.comments), joinedload(Post.author, innerjoin=True)
            ),
            raiseload("*"),
        ),
        "LoadPlan(\n"
        "    User,\n"
        '    load(User.posts, load(Post.comments), load(Post.author, strategy="inner"), only=[Post.title]),\n'
        ")",
    ),
    (
        lambda: select(User).options(
            subqueryload(User.posts.and_(Post.id > 1)), defer(User.name), joinedload(User.badge).joinedload(Badge.user)
        ),
        "",
    ),
    (lambda: select(User).options(undefer(User.letter), raiseload(User.badge)), ""),
    (lambda: select(User).options(load_only(User.name, raiseload=True), undefer(User.letter), raiseload("*")), ""),
    (lambda: select(User).options(defaultload(User.badge).joinedload(Badge.user)), ""),
    (
        lambda: select(User).options(immediateload(User.posts), raiseload(User.badge)),
        "LoadPlan(User, load(User.posts))",
    ),
    (
        lambda: select(User).options(
            selectin_polymorphic(User, [Editor]), selectinload(Editor.desk), raiseload(User.badge)
        ),
        "LoadPlan(User, on(Editor, load(Editor.desk)))",
    ),
    (
        lambda: select(Post).where(Post.parent_id.is_(None)).options(selectinload(Post.replies, recursion_depth=1)),
        "LoadPlan(Post, load(Post.replies, depth=2))",
    ),
    (
        lambda: select(Post).options(
            selectinload(Post.comments), selectinload(Post.comments).selectinload(Comment.post)
        ),
        "LoadPlan(Post, load(Post.comments, load(Comment.post)))",
    ),
]


def walk(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """Return what is loaded of an object, to the bottom; keys and back-references that come by themselves left out."""
    if isinstance(value, list):
        return [walk(each, seen) for each in value]
    if not hasattr(value, "__mapper__") or id(value) in seen:
        return value if not hasattr(value, "__mapper__") else (type(value).__name__, value.id)
    state: Any = inspect(value)
    keys = {each for each in state.dict if each in state.mapper.attrs}
    return {key: walk(state.dict[key], seen | {id(value)}) for key in sorted(keys) if not is_aside(state, key)}


def is_aside(state: Any, key: str) -> bool:
    """Tell what a load sets beside what was asked for: keys, and the many-to-one that points back."""
    prop = state.mapper.attrs[key]
    if key in state.mapper.relationships:
        return key in {"author", "post", "user"} and prop.back_populates is not None
    return bool(prop.columns[0].primary_key or prop.columns[0].foreign_keys or key == "kind")


@pytest.mark.parametrize(("make", "code"), CASES)
async def test_the_plan_loads_what_the_options_load(
    rows: AsyncEngine, make: Callable[[], Select[Any]], code: str
) -> None:
    statement = make()
    adopted = plan_of_options(statement)
    if code:
        assert adopted.code == f"PLAN = {code}".replace('"inner"', "'inner'")
    async with AsyncSession(rows) as session:
        entity = adopted.plan.entity
        theirs = (await session.scalars(statement.order_by(entity.id))).unique().all()
        expected = [walk(each) for each in theirs]
    ours = await Loader(rows).fetch_all(adopted.plan, statement.whereclause, order_by=entity.id)
    assert [walk(each) for each in ours] == expected


def test_the_code_builds_the_plan() -> None:
    """What is printed is Python, and gives an equal plan."""
    names = {**globals(), "load": load, "on": on, "LoadPlan": LoadPlan}
    for make, _ in CASES:
        adopted = plan_of_options(make())
        assert eval(adopted.code.removeprefix("PLAN = "), names) == adopted.plan  # noqa: S307


def test_what_the_statement_says_besides() -> None:
    """A plan has no roots, and no attribute that loads when it is touched."""
    statement = select(User).options(lazyload(User.posts)).where(User.id > 1).order_by(User.name).limit(3)
    assert plan_of_options(statement).remarks == (
        "the statement's WHERE chooses the roots: pass where= to fetch_all, or an id to fetch.",
        "the statement's ORDER BY sorts the roots: pass order_by= to fetch_all.",
        "the statement's LIMIT counts the roots: pass limit= to fetch_all.",
        "lazyload(User.posts) loads when it is read; add load(User.posts) if your code reads it.",
    )


async def asynchronous() -> None: ...


#: (what is given, the start of what is said)
REFUSED: list[tuple[object, str]] = [
    (
        select(User).options(contains_eager(User.posts)),
        "contains_eager(User.posts) takes its rows from the statement's",
    ),
    (select(User).options(with_loader_criteria(User, User.id > 1)), "LoaderCriteriaOption is not a loader option"),
    (select(User).options(selectinload("*")), "a plan has no option for all attributes at once"),
    (select(User.id), "the statement does not select one mapped class"),
    (select(User, Post), "the statement does not select one mapped class"),
    (User, "a DeclarativeAttributeIntercept is not a statement"),
    (asynchronous, "'asynchronous' is asynchronous, and is not run"),
    (lambda ids: select(User).where(User.id.in_(ids.sorted())), "'<lambda>' raises AttributeError when it is called"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_no_plan_says(given: object, said: str) -> None:
    """An error that says what to do instead."""
    with pytest.raises(NotAdoptable) as raised:
        plan_of_options(given)
    assert str(raised.value).startswith(said)
    assert "\n  hint: " in str(raised.value)


def test_options_and_functions(command: Callable[..., Result], shop: Path) -> None:
    """The command takes a function with arguments, and options alone."""
    (shop / "shop" / "queries.py").write_text(
        "from sqlalchemy import select\n"
        "from sqlalchemy.orm import selectinload\n"
        "from shop.models import Customer, Order\n"
        "OPTIONS = [selectinload(Customer.orders)]\n"
        "def customer(id):\n"
        "    return select(Customer).where(Customer.id == id).options(*OPTIONS)\n"
    )
    done = command("adopt", "shop.queries:customer", "--name", "customer page")
    assert (done.exit_code, done.stdout) == (
        0,
        "PLAN = LoadPlan(Customer, load(Customer.orders), name='customer page')\n"
        "# the statement's WHERE chooses the roots: pass where= to fetch_all, or an id to fetch.\n",
    )
    assert command("adopt", "shop.queries:OPTIONS").stdout == "PLAN = LoadPlan(Customer, load(Customer.orders))\n"
    assert command("adopt", "shop.queries:Customer").exit_code == 1


def test_a_whole_module(command: Callable[..., Result], shop: Path) -> None:
    """A plan for each statement, a comment for one that has none; functions and plain statements are left out."""
    (shop / "shop" / "statements.py").write_text(
        "from sqlalchemy import select\n"
        "from sqlalchemy.orm import contains_eager, selectinload\n"
        "from shop.models import Customer, Order\n"
        "OPTIONS = [selectinload(Customer.orders)]\n"
        "customers = select(Customer).where(Customer.id > 1).options(*OPTIONS)\n"
        "joined = select(Order).join(Order.customer).options(contains_eager(Order.customer))\n"
        "plain = select(Customer)\n"
        "class Orders:\n"
        "    base = select(Order).options(selectinload(Order.customer))\n"
        "def function():\n"
        "    raise AssertionError\n"
    )
    done = command("adopt", "shop.statements")
    assert (done.exit_code, done.stdout) == (
        1,
        "OPTIONS = LoadPlan(Customer, load(Customer.orders))\n\n"
        "CUSTOMERS = LoadPlan(Customer, load(Customer.orders))\n"
        "# the statement's WHERE chooses the roots: pass where= to fetch_all, or an id to fetch.\n\n"
        "# joined: contains_eager(Order.customer) takes its rows from the statement's own join\n"
        "#   hint: write load(Order.customer), with where= if the join filters its rows. To choose or sort the roots "
        "by columns of it, pass where= or order_by=source(Order.customer, ...) to the fetch.\n\n"
        "BASE = LoadPlan(Order, load(Order.customer))\n\n",
    )
    none = command("adopt", "shop.models")
    assert none.exit_code == 2
    assert none.stderr == (
        "module 'shop.models' holds no statement with loader options\n"
        "  hint: name a function that returns one, as shop.models:name.\n"
    )
