"""A session's criterion on a mixin that has no column of its own: the error says what to write."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from real import filled
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, with_loader_criteria

from loadplan import Loader, LoaderError, LoadPlan


class Base(DeclarativeBase):
    pass


class Tenanted:
    """An annotation alone, as a field of SQLModel: the class has no attribute."""

    tenant_id: Mapped[int]


class Owned(Tenanted):
    """A mixin between the first one and the mapped class."""


class Deed(Owned, Base):
    __tablename__ = "mixin_deeds"
    id: Mapped[int] = mapped_column(primary_key=True)


class Filtered(Session):
    pass


class Mistaken(Session):
    pass


@event.listens_for(Filtered, "do_orm_execute")
def one_tenant(state: Any) -> None:
    rule: Any = lambda cls: cls.tenant_id == 1  # noqa: E731 - the form that people write
    state.statement = state.statement.options(with_loader_criteria(Tenanted, rule, include_aliases=True))


@event.listens_for(Mistaken, "do_orm_execute")
def mistaken(state: Any) -> None:
    getattr(Tenanted, "tenant")  # noqa: B009 - an attribute that no class has


@pytest.fixture
async def engine(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with filled(postgres, Base.metadata, Deed(id=1, tenant_id=1)):
        yield postgres


async def test_the_error_names_the_mixin_and_the_rule(engine: AsyncEngine) -> None:
    sessions = async_sessionmaker(engine, sync_session_class=Filtered)

    async def streamed(loader: Loader) -> None:
        _ = [each async for each in loader.stream(LoadPlan(Deed))]

    async with sessions() as session:
        for loader in (Loader(sessions), Loader(session)):
            for call in (
                loader.fetch_all(LoadPlan(Deed)),
                loader.fetch_many(LoadPlan(Deed), [1]),
                loader.fetch_page(LoadPlan(Deed), order_by=Deed.id, size=1),
                loader.count(LoadPlan(Deed)),
                streamed(loader),
            ):
                with pytest.raises(LoaderError) as caught:
                    await call
                assert str(caught.value) == (
                    "LP408: a criterion of the session reads 'Tenanted.tenant_id', which only mapped subclasses of "
                    "'Tenanted' have\n"
                    "  detail: SQLAlchemy calls the lambda of with_loader_criteria() with the mixin itself. A field of "
                    "SQLModel, or an annotation alone, leaves no attribute there.\n"
                    "  hint: write the mixin's column with mapped_column(). For SQLModel, pass one rule for each "
                    "mapped class: with_loader_criteria(each, each.tenant_id == ..., include_aliases=True)."
                )


async def test_another_attribute_error_passes(engine: AsyncEngine) -> None:
    with pytest.raises(AttributeError, match="tenant"):
        await Loader(async_sessionmaker(engine, sync_session_class=Mistaken)).fetch_all(LoadPlan(Deed))
