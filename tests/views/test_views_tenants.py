"""No view ever holds a row that a criterion of the session hides: what comes is what would come if it were deleted.

``LOADPLAN_PROPERTY_EXAMPLES=n`` tries n / 80 sets of rows.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from tenant_models import PLANS, Base, Doc, Mark, Media, Note, Owned, Person, Photo, Sound, Tag, random_rows

from loadplan import Loader, LoadPlan, RelatedNotFound
from random_cases import CASES
from support import tables

SEEDS = range(1, 1 + max(1, CASES // 80))


@pytest.fixture(params=SEEDS, ids=lambda seed: f"rows{seed}")
async def docs(engine: AsyncEngine, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    """Random rows of two tenants."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            for table, rows in random_rows(request.param).items():
                if rows:
                    await connection.execute(insert(table), rows)
        yield engine


#: To ask for one by one; of the eight there are.
IDS = [4, 7]


def hiding(kind: Any, **how: bool) -> Callable[[ORMExecuteState], None]:
    """Return a listener that hides the rows of all tenants but the first."""

    def listener(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(with_loader_criteria(kind, lambda cls: cls.tenant == 1, **how))

    return listener


@contextlib.contextmanager
def listening(target: Any, listener: Callable[..., Any]) -> Iterator[None]:
    event.listen(target, "do_orm_execute", listener)
    try:
        yield
    finally:
        event.remove(target, "do_orm_execute", listener)


async def hold(bind: Any, plan: LoadPlan[Any], expected: list[Any]) -> None:
    """Fetch a plan in every way, and assert that what was expected came."""
    loader, counted = Loader(bind), Loader(bind, max_rows=100_000)
    visible = {each.id: each for each in expected}
    assert await loader.fetch_all(plan, order_by=Doc.id) == expected
    assert await loader.fetch_all(plan, order_by=Doc.id, limit=100) == expected
    assert await counted.fetch_all(plan, order_by=Doc.id) == expected
    assert await loader.fetch_many(plan, IDS, missing="skip") == [visible[key] for key in IDS if key in visible]
    assert [each async for each in loader.stream(plan, order_by=Doc.id, batch_size=3)] == expected
    assert (await loader.fetch_page(plan, Doc.id, 3)).items == expected[:3]
    for key in IDS:
        assert await loader.fetch_or_none(plan, key) == visible.get(key)


async def without_the_hidden(connection: AsyncConnection, kinds: list[Any], plan: LoadPlan[Any]) -> list[Any]:
    """Delete what is hidden, fetch, and leave everything as it was."""
    transaction = await connection.begin()
    for kind in kinds:
        table = Media.__table__ if issubclass(kind, Media) else kind.__table__
        own = (
            []
            if kind is Media or not issubclass(kind, Media)
            else [table.c.kind == kind.__mapper__.polymorphic_identity]
        )
        hidden = select(table.c.id).where(table.c.tenant != 1, *own)
        if issubclass(kind, Media):
            await connection.execute(delete(Photo.__table__).where(Photo.__table__.c.id.in_(hidden)))
        await connection.execute(delete(table).where(table.c.tenant != 1, *own))
    try:
        return await Loader(connection).fetch_all(plan, order_by=Doc.id)
    finally:
        await transaction.rollback()


EVERYTHING = [Person, Doc, Note, Mark, Tag, Media]


@pytest.mark.parametrize("name", PLANS)
async def test_no_row_of_another_tenant_appears(docs: AsyncEngine, name: str) -> None:
    """The criterion is on the mixin of all classes, and its listener on every session."""
    async with docs.connect() as connection:
        expected = await without_the_hidden(connection, EVERYTHING, PLANS[name])
        unfiltered = await Loader(connection).fetch_all(PLANS[name])
    for propagates in (
        (True, False) if name == "three levels" else (True,)
    ):  # SQLAlchemy asks for aliases where the criterion is on a mixin
        with listening(Session, hiding(Owned, include_aliases=True, propagate_to_loaders=propagates)):
            await hold(docs, PLANS[name], expected)
    assert "'t2-" not in repr(expected)
    assert "'t2-" in repr(unfiltered)  # there was something to hide


@pytest.mark.parametrize("place", ["sessionmaker", "session"])
@pytest.mark.parametrize("name", ["three levels"])
async def test_a_listener_of_one_sessionmaker_or_session_holds(docs: AsyncEngine, name: str, place: str) -> None:
    async with docs.connect() as connection:
        expected = await without_the_hidden(connection, EVERYTHING, PLANS[name])

    class Own(Session):
        pass

    if place == "sessionmaker":
        event.listen(Own, "do_orm_execute", hiding(Owned, include_aliases=True))
        await hold(async_sessionmaker(docs, sync_session_class=Own), PLANS[name], expected)
    else:
        async with AsyncSession(docs) as session:
            event.listen(session.sync_session, "do_orm_execute", hiding(Owned, include_aliases=True))
            await hold(session, PLANS[name], expected)


@pytest.mark.parametrize("kind", [Person, Doc, Note, Mark, Tag, Media], ids=lambda kind: kind.__name__)
async def test_a_criterion_on_one_class_hides_its_rows_alone(docs: AsyncEngine, kind: Any) -> None:
    plan = PLANS["nested" if docs.dialect.name == "postgresql" else "by level"]
    async with docs.connect() as connection:
        expected = await without_the_hidden(connection, [kind], plan)
    with listening(Session, hiding(kind)):
        await hold(docs, plan, expected)


@pytest.mark.parametrize("kind", [Photo, Sound])
@pytest.mark.parametrize("name", ["by rule", "nested", "by level"])
async def test_a_criterion_on_a_subclass_never_shows_what_it_hides(docs: AsyncEngine, name: str, kind: Any) -> None:
    """The row of the base class is not hidden by it, what the subclass adds is: such a row cannot become a view."""
    table = Media.__table__
    async with docs.connect() as connection:
        hidden = table.c.kind == kind.__mapper__.polymorphic_identity, table.c.tenant != 1
        keys = set(await connection.scalars(select(table.c.doc_id).where(*hidden)))
    assert keys
    with listening(Session, hiding(kind)):
        for each in range(1, 9):
            if each not in keys:
                assert await Loader(docs).fetch(PLANS[name], each)
                continue
            with pytest.raises(RelatedNotFound, match="LP410"):
                await Loader(docs).fetch(PLANS[name], each)
