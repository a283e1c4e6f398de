"""Random orders by to-ones over random mappings and rows: no root is lost, repeated, or in a wrong place.

The oracle walks each path lazily over the plain mapping and sorts in Python.
"""

from typing import Any

import attrs
from generated_mappings import Mapping, mapped
from generated_plans import Place, declare, places
from generated_rows import Rows, filled, rows_of
from generated_schemas import Schema, schemas
from hypothesis import given, note
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from test_random_plans import brief, thorough

from loadplan import Loader, LoadPlan, source

#: The most to-ones of one path.
STEPS = 3


@attrs.frozen
class Order:
    """A path to the rank of a row, with its direction."""

    ends: tuple[str, ...]
    target: str
    descending: bool
    nulls_first: bool

    def rank(self, schema: Schema) -> str:
        """Return the name of the attribute at the end."""
        return f"{self.target.lower()}_rank" if schema.entity(self.target).parent else "rank"


@attrs.frozen
class Ordered:
    """A schema, rows, and plans, each with the orders of its roots."""

    schema: Schema
    rows: Rows
    requests: tuple[tuple[Place, tuple[Order, ...]], ...]


@st.composite
def ordered(draw: st.DrawFn) -> Ordered:
    """Draw a schema, rows, and two plans with orders."""
    schema = draw(schemas())
    rows = draw(rows_of(schema))
    names = [each.name for each in schema.entities]
    starts = [each for each in names if _to_ones(schema, each)] or names
    requests = []
    for _ in range(2):
        place = draw(places(schema, draw(st.sampled_from(starts))))
        requests.append((place, tuple(draw(_order(schema, place)) for _ in range(draw(st.sampled_from((1, 1, 2)))))))
    return Ordered(schema, rows, tuple(requests))


@st.composite
def _order(draw: st.DrawFn, schema: Schema, place: Place) -> Order:
    ends, here = list[str](), place.entity
    planned = [each.end for each in place.branches]
    for _ in range(draw(st.sampled_from((1, 1, 2, STEPS)))):
        known = _to_ones(schema, here)
        if not known:
            break
        likely = [each for each in known if each in planned] or known
        ends.append(draw(st.sampled_from([*likely, *likely, *known])))
        here = schema.end(ends[-1]).target
    return Order(tuple(ends), here, draw(st.booleans()), draw(st.booleans()))


def _to_ones(schema: Schema, name: str) -> list[str]:
    """Return the to-ones of an entity that a lazy load follows."""
    return [each.name for each in schema.ends(name) if each.to_one and not schema.compares_apart(each)]


@thorough
@given(drawn=ordered())
async def test_roots_are_ordered_by_what_a_lazy_walk_finds_on_sqlite(sqlite: AsyncEngine, drawn: Ordered) -> None:
    """On SQLite, a subquery reads each value."""
    await hold(sqlite, drawn)


@brief
@given(drawn=ordered())
async def test_roots_are_ordered_by_what_a_lazy_walk_finds_on_asyncpg(asyncpg: AsyncEngine, drawn: Ordered) -> None:
    """On PostgreSQL, the rows are joined where a constraint holds each step to one row."""
    await hold(asyncpg, drawn)


@brief
@given(drawn=ordered())
async def test_roots_are_ordered_by_what_a_lazy_walk_finds_on_psycopg(psycopg: AsyncEngine, drawn: Ordered) -> None:
    """The same statements, whose rows another driver reads."""
    await hold(psycopg, drawn)


async def hold(engine: AsyncEngine, drawn: Ordered) -> None:
    """Assert the order of lists, pages and streams for every plan."""
    with mapped(drawn.schema) as (mapping, plain):
        async with filled(engine, mapping, drawn.rows):
            for place, orders in drawn.requests:
                plan = declare(mapping, place, name="random")
                note(f"{plan!r}\n{orders!r}")
                async with AsyncSession(engine) as session:
                    places = await session.run_sync(walk, plain, place, orders)
                given = [path_of(mapping, each) if each.ends else own_rank(mapping, each) for each in orders]
                await hold_one(Loader(engine), mapping, plan, given, places)


async def hold_one(loader: Loader, mapping: Mapping, plan: LoadPlan[Any], order: list[Any], places: Any) -> None:
    """Assert that each call returns all roots, in the order of their places."""

    def ids(roots: list[Any]) -> list[Any]:
        return [mapping.identity(each) for each in roots]

    found = ids(await loader.fetch_all(plan, order_by=order))
    assert len(found) == len(places)
    assert set(found) == set(places)
    assert [places[each] for each in found] == sorted(places.values())
    total = ids(await loader.fetch_all(plan, order_by=order, limit=100))
    assert [places[each] for each in total] == sorted(places.values())
    assert set(total) == set(places)
    assert ids(await loader.fetch_all(plan, order_by=order, limit=2, offset=1)) == total[1:3]
    pages = [await loader.fetch_page(plan, order, 2, total="exact")]
    assert pages[0].total == len(total)
    while pages[-1].next:
        pages.append(await loader.fetch_page(plan, order, 2, after=pages[-1].next))
    back = [pages[-1]]
    while back[0].previous:
        back.insert(0, await loader.fetch_page(plan, order, 2, before=back[0].previous))
    for read in (pages, back):
        assert ids([each for page in read for each in page.items]) == total


def path_of(mapping: Mapping, order: Order) -> Any:
    """Return an order as the path that a caller writes."""
    steps = [getattr(mapping.classes[mapping.schema.end(each).owner], each) for each in order.ends]
    return directed(source(*steps, getattr(mapping.classes[order.target], order.rank(mapping.schema))), order)


def own_rank(mapping: Mapping, order: Order) -> Any:
    """Return the order by the rank of the roots themselves, if they have no to-one."""
    return directed(getattr(mapping.classes[order.target], order.rank(mapping.schema)), order)


def directed(expression: Any, order: Order) -> Any:
    found = expression.desc() if order.descending else expression.asc()
    return found.nulls_first() if order.nulls_first else found.nulls_last()


def walk(session: Session, plain: Mapping, place: Place, orders: tuple[Order, ...]) -> dict[Any, Any]:
    """Return, for each root, a value that sorts as its place in the order."""
    found = {}
    for root in session.scalars(select(plain.classes[place.entity])):
        at: list[tuple[int, int]] = []
        for order in orders:
            here: Any = root
            for name in order.ends:
                here = None if here is None else getattr(here, name)
            value = None if here is None else getattr(here, order.rank(plain.schema))
            last = (value is None) != order.nulls_first
            at.append((int(last), 0 if value is None else -value if order.descending else value))
        found[plain.identity(root)] = tuple(at)
    return found
