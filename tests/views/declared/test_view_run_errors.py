"""What stops a fetch of views: the whole message, and its cause."""

from typing import Any

import attrs
import pytest
from sqlalchemy import event, insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import with_loader_criteria
from staff_models import Chief, Person
from views_models import Post, Topic, User

from loadplan import Loader, LoadPlan, RelatedNotFound, ViewError, load, on


@attrs.frozen
class UserRef:
    id: int


@attrs.frozen
class PostCard:
    id: int
    author: UserRef


async def test_a_required_row_that_is_hidden(engine: AsyncEngine, blog: Loader) -> None:
    """By a criterion of the session."""
    del blog
    async with AsyncSession(engine) as session:

        @_on_execute(session)
        def hide(state: Any) -> None:
            state.statement = state.statement.options(with_loader_criteria(User, User.id != 1))

        with pytest.raises(RelatedNotFound) as caught:
            await Loader(session).fetch(LoadPlan(Post, into=PostCard), 1)
    assert str(caught.value) == (
        "LP410: 'PostCard.author' is required, but 'Post.author' has no row for 'Post' with id=1\n"
        "  at: PostCard > Post.author\n"
        "  detail: a criterion of the session or row-level security hides the row, or the row does not exist.\n"
        "  hint: if that is possible, add '| None' to the annotation."
    )


def _on_execute(session: AsyncSession) -> Any:
    return event.listens_for(session.sync_session, "do_orm_execute")


@attrs.frozen
class PersonRef:
    id: int


@attrs.frozen
class ChiefRef:
    id: int


@attrs.frozen
class Upper:
    id: int
    title: str = attrs.field()

    @title.validator
    def _upper(self, _: Any, value: str) -> None:
        if not value.isupper():
            raise ValueError(f"{value} is not upper case")


async def test_a_class_that_refuses(blog: Loader) -> None:
    """The row is named by its key."""
    with pytest.raises(ViewError) as caught:
        await blog.fetch(LoadPlan(Post, into=Upper, name="uppers"), 2)
    assert str(caught.value) == (
        "LP411: no view could be built from the row of 'Post' with id=2\n"
        "  at: uppers\n"
        "  detail: ValueError: two is not upper case"
    )
    assert type(caught.value.__cause__) is ValueError


@attrs.frozen
class Node:
    id: int
    children: "list[Node]"


async def test_rows_that_are_a_cycle(engine: AsyncEngine, blog: Loader) -> None:
    """A view cannot contain itself."""
    async with engine.begin() as connection:
        await connection.execute(update(Topic).where(Topic.id == 1).values(parent_id=4))
    plan = LoadPlan(Topic, load(Topic.children, depth="all"), into=Node)
    with pytest.raises(ViewError) as caught:
        await blog.fetch(plan, 1)
    assert caught.value.code == "LP412"
    assert caught.value.message.startswith("the rows form a cycle: the row with key ")
    assert caught.value.path == ("Node",)


async def test_a_discriminator_that_is_not_mapped(engine: AsyncEngine, staff: Loader) -> None:
    """No class is for that row."""
    async with engine.begin() as connection:
        await connection.execute(
            insert(Person.__table__).values(id=9, name="zoe", kind="guest", firm_id=1)  # type: ignore[arg-type]
        )
        assert (await connection.execute(text("select count(*) from stf_people"))).scalar_one() == 4
    plan = LoadPlan(Person, on(Chief, into=ChiefRef), on(Person, into=PersonRef), into=ChiefRef | PersonRef)
    with pytest.raises(RelatedNotFound) as caught:
        await staff.fetch_all(plan)
    assert str(caught.value) == (
        "LP410: 'ChiefRef | PersonRef' has no member for a row whose discriminator is 'guest'\n"
        "  at: ChiefRef | PersonRef\n"
        "  hint: map a class for this discriminator, and add a member for it."
    )
