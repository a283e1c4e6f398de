"""Types that decide for themselves what they bind: what ``session.get`` takes, ``fetch`` takes."""

import base64
import enum
import secrets
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from real import filled
from sqlalchemy import ForeignKey, bindparam
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import IdentityError, Loader, LoadPlan, PlanError, load


class TextId(sa.TypeDecorator[uuid.UUID]):
    """A uuid.UUID in Python, text in the database; its ``impl`` says otherwise."""

    impl = sa.Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(sa.CHAR(36))

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(uuid.UUID(str(value)))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(str(value))


class LooseId(sa.TypeDecorator[str]):
    """Takes numbers and texts, gives texts."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(str(value).removeprefix("no-"))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else f"no-{value}"


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class ByNumber(sa.TypeDecorator[Colour]):
    """An enum, stored as its number."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Colour(value).value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Colour(value)


class Veiled(sa.TypeDecorator[str]):
    """Stands for an encrypting type: another text each time it binds."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else secrets.token_hex(4) + value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value[8:]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "binds_orders"
    id: Mapped[uuid.UUID] = mapped_column(TextId, primary_key=True)
    number: Mapped[int]
    secret: Mapped[str] = mapped_column(Veiled)
    data: Mapped[Any] = mapped_column(sa.JSON)
    lines: Mapped[list["Line"]] = relationship(order_by="Line.id")


class Line(Base):
    __tablename__ = "binds_lines"
    id: Mapped[str] = mapped_column(LooseId, primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(TextId, ForeignKey(Order.id))
    colour: Mapped[Colour] = mapped_column(ByNumber)


class Paint(Base):
    __tablename__ = "binds_paints"
    colour: Mapped[Colour] = mapped_column(ByNumber, primary_key=True)


KEYS = [uuid.UUID(int=n) for n in range(12)]


def _rows() -> list[object]:
    orders = [Order(id=key, number=n, secret=f"secret-{n}", data={"n": n}) for n, key in enumerate(KEYS)]
    orders[3].lines = [Line(id=1, colour=Colour.RED), Line(id=2, colour=Colour.BLUE)]
    return [*orders, Paint(colour=Colour.RED), Paint(colour=Colour.BLUE)]


IDS: dict[str, tuple[Any, Any]] = {
    "a uuid": (Order, KEYS[3]),
    "its text": (Order, str(KEYS[3])),
    "a number for a text": (Line, 1),
    "a text for a number": (Line, "no-2"),
    "an enum": (Paint, Colour.BLUE),
    "its number": (Paint, 2),
}


@pytest.mark.parametrize("name", IDS)
async def test_fetch_takes_what_get_takes(engine: AsyncEngine, name: str) -> None:
    """Only the type itself knows what it binds."""
    entity, key = IDS[name]
    async with filled(engine, Base.metadata, *_rows()) as loader:
        async with AsyncSession(engine) as session:
            expected = sa.inspect(await session.get_one(entity, key)).mapper.primary_key_from_instance(
                await session.get_one(entity, key)
            )
        found = await loader.fetch(LoadPlan(entity), key)
        assert sa.inspect(entity).primary_key_from_instance(found) == expected
        (same,) = await loader.fetch_many(LoadPlan(entity), [key])
        assert sa.inspect(entity).primary_key_from_instance(same) == expected


@pytest.mark.parametrize(("entity", "key"), [(Order, "no uuid"), (Line, "x"), (Paint, 9)])
async def test_what_the_type_refuses_is_an_identity_error(engine: AsyncEngine, entity: Any, key: Any) -> None:
    """It is refused before any SQL runs."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        with pytest.raises(IdentityError):
            await loader.fetch(LoadPlan(entity), key)


async def test_parameters_are_bound_by_their_type(engine: AsyncEngine) -> None:
    """A ``bindparam`` compared with such a column takes what the column takes."""
    by_colour = LoadPlan(Order, load(Order.lines, where=Line.colour == bindparam("colour")))
    by_text = LoadPlan(Order, load(Order.lines, where=Line.order_id == bindparam("key")))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        orders = await loader.fetch_all(by_colour, order_by=Order.number, params={"colour": Colour.BLUE})
        assert [[line.id for line in each.lines] for each in orders][3] == ["no-2"]
        orders = await loader.fetch_all(by_text, order_by=Order.number, params={"key": str(KEYS[3])})
        assert [[line.id for line in each.lines] for each in orders][3] == ["no-1", "no-2"]


async def _pages(loader: Loader, order: Any) -> list[int]:
    seen: list[int] = []
    after = None
    for _ in range(6):
        page = await loader.fetch_page(LoadPlan(Order), order_by=order, size=5, after=after)
        seen += [each.number for each in page.items]
        after = page.next
        if after is None:
            break
    return seen


@pytest.mark.parametrize("order", [Order.number, Order.number.desc(), Order.id], ids=["number", "descending", "key"])
async def test_pages_go_on_past_the_first(engine: AsyncEngine, order: Any) -> None:
    """The tie-breaker of a page is the key, of whatever type."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        assert sorted(await _pages(loader, order)) == list(range(12))


async def test_pages_by_an_encrypting_type_are_whole_or_refused(engine: AsyncEngine) -> None:
    """The order is refused at the first page, or every row comes once."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        try:
            assert sorted(await _pages(loader, Order.secret)) == list(range(12))
        except PlanError as refused:
            assert "secret" in str(refused) or "Veiled" in str(refused)  # noqa: PT017


async def test_a_cursor_gives_no_secret_away(engine: AsyncEngine) -> None:
    """What goes to the client holds no value that the type keeps from the database."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        try:
            page = await loader.fetch_page(LoadPlan(Order), order_by=Order.secret, size=5)
        except PlanError:
            return
        assert page.next is not None
        assert b"secret-" not in base64.urlsafe_b64decode(page.next + "===")


class VariantBase(DeclarativeBase):
    pass


class Crate(VariantBase):
    __tablename__ = "variant_crates"
    id: Mapped[Any] = mapped_column(
        sa.Uuid().with_variant(sa.String(36), "sqlite", "postgresql", "mariadb"), primary_key=True
    )
    colour: Mapped[Any] = mapped_column(
        sa.Enum(Colour, native_enum=False, length=9).with_variant(sa.String(9), "sqlite", "postgresql", "mariadb")
    )
    boxes: Mapped[list["Box"]] = relationship(back_populates="crate", order_by="Box.id")


class Box(VariantBase):
    __tablename__ = "variant_boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    crate_id: Mapped[Any] = mapped_column(sa.String(36), ForeignKey(Crate.id))
    crate: Mapped[Crate] = relationship(back_populates="boxes")


async def test_a_variant_of_a_type_says_what_this_database_takes(engine: AsyncEngine) -> None:
    """``Uuid().with_variant(String(36), "sqlite")`` takes text there, in ids, parameters and cursors."""
    keys = [str(uuid.UUID(int=number)) for number in range(3)]
    crates = [Crate(id=key, colour=f"c{at % 2}", boxes=[Box(id=at)]) for at, key in enumerate(keys)]
    plan = LoadPlan(Crate, load(Crate.boxes, load(Box.crate)))
    async with filled(engine, VariantBase.metadata, *crates) as loader:
        async with AsyncSession(engine) as session:
            assert (await session.get_one(Crate, keys[1])).id == keys[1]
        found = await loader.fetch(plan, keys[1])
        assert (found.id, [box.id for box in found.boxes], found.boxes[0].crate is found) == (keys[1], [1], True)
        assert [each.id for each in await loader.fetch_many(plan, keys[::-1])] == keys[::-1]
        named = await loader.fetch_one(plan, Crate.id == bindparam("key"), params={"key": keys[2]})
        assert named.id == keys[2]
        with pytest.raises(IdentityError) as caught:
            await loader.fetch(plan, uuid.UUID(int=1))
        assert caught.value.detail == "it takes str, not UUID."
        assert caught.value.problem.hint == "pass one value: id (str)."
        found_ids, after = [], None
        while True:
            page = await loader.fetch_page(plan, [Crate.colour.desc(), Crate.id], 1, after=after)
            found_ids += [each.id for each in page.items]
            if (after := page.next) is None:
                break
        assert found_ids == [keys[1], keys[0], keys[2]]
