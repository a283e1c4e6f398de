"""To-one relationships: many-to-one, one-to-one from either side, by backref, and where the rows break the promise."""

from typing import TYPE_CHECKING

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, backref, joinedload, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording, tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "ones_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    profile: Mapped["Profile | None"] = relationship(back_populates="user")
    draft: Mapped["Draft | None"] = relationship(back_populates="user")
    if TYPE_CHECKING:
        password: Mapped["Password | None"]


class Profile(Base):
    """A unique foreign key: one, by constraint."""

    __tablename__ = "ones_profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id), unique=True)
    user: Mapped[User | None] = relationship(back_populates="profile")


class Draft(Base):
    """No constraint: one by the mapping's promise alone."""

    __tablename__ = "ones_drafts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    user: Mapped[User | None] = relationship(back_populates="draft")
    notes: Mapped[list["Note"]] = relationship(order_by="Note.id")


class Note(Base):
    __tablename__ = "ones_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey(Draft.id))


class Password(Base):
    """Its primary key is the foreign key; the other side is a backref."""

    __tablename__ = "ones_passwords"
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), primary_key=True)
    text: Mapped[str]
    user: Mapped[User] = relationship(backref=backref("password", uselist=False))


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, *(User(id=number) for number in (1, 2, 3)))
    await fill(engine, Profile(id=1, user_id=2), Profile(id=2, user_id=None), Draft(id=1, user_id=2), Draft(id=2))
    await fill(engine, Password(user_id=1, text="x"), Note(id=1, draft_id=1), Note(id=2, draft_id=1))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", ["profile", "draft", "password"])
async def test_one_to_one_from_the_side_without_the_key(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """Absent is None, present points back. Nothing holds a draft to one row, so options ask for it separately."""
    plan = LoadPlan(User, load(key, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        users = await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} and key != "draft" else 2)
    for user in users:
        assert getattr(user, key) is None or getattr(user, key).user is user


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("entity", [Profile, Draft, Password])
async def test_one_to_one_from_the_side_with_the_key(
    engine: AsyncEngine, entity: type[Profile | Draft | Password], strategy: str | None
) -> None:
    """A NULL key is None, with no row asked for."""
    plan = LoadPlan(entity, load(entity.user, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 2)


async def test_the_side_with_the_key_does_not_tell_the_other(engine: AsyncEngine) -> None:
    """Only a many-to-one points back by itself: a one-to-one without the key could have another row."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        profile = await Loader(engine).fetch(LoadPlan(Profile, load(Profile.user)), 1)
    assert profile.user is not None
    with pytest.raises(NotLoaded, match=r"'User\.profile'"):
        _ = profile.user.profile


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_round_trips_between_the_two_sides(engine: AsyncEngine, strategy: str | None) -> None:
    """There and back again is the same object."""
    there = LoadPlan(User, load(User.profile, load(Profile.user, strategy=strategy), strategy=strategy))  # type: ignore[arg-type]
    back = LoadPlan(Profile, load(Profile.user, load(User.profile, strategy=strategy), strategy=strategy))  # type: ignore[arg-type]
    count = 1 if strategy in {None, "joined"} else 3
    async with tables(engine, Base.metadata):
        await _fill(engine)
        users = await same_as_lazy(engine, there, count, by_hand=False)
        profiles = await same_as_lazy(engine, back, count, by_hand=False)
    assert users[1].profile.user is users[1]
    assert profiles[0].user.profile is profiles[0]


async def test_everything_at_once(engine: AsyncEngine) -> None:
    """Three one-to-ones, one of which nothing holds to one row, and a collection below that one."""
    plan = LoadPlan(User, load(User.profile), load("password"), load(User.draft, load(Draft.notes)))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 3)


@pytest.mark.filterwarnings("ignore:Multiple rows returned with uselist=False")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_one_to_one_with_two_rows_multiplies_no_parent(engine: AsyncEngine, strategy: str | None) -> None:
    """The mapping promised one. Whichever it is, each parent comes once, and the graph below is whole."""
    plan = LoadPlan(User, load(User.draft, load(Draft.notes), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await fill(engine, Draft(id=3, user_id=2), Draft(id=4, user_id=2), Draft(id=5, user_id=1))
        users = await Loader(engine).fetch_all(plan, order_by=User.id)
        assert [user.id for user in users] == [1, 2, 3]
        assert [user.draft and user.draft.id in {1, 3, 4, 5} for user in users] == [True, True, None]
        assert users[1].draft is not None
        assert len(users[1].draft.notes) == (2 if users[1].draft.id == 1 else 0)
        assert (await Loader(engine).fetch(plan, 2)).draft is not None
        assert [user.id for user in await Loader(engine).fetch_many(plan, [3, 2, 1])] == [3, 2, 1]
        assert (await Loader(engine).fetch_one(plan, where=User.id == 2)).id == 2


@pytest.mark.filterwarnings("ignore:Multiple rows returned with uselist=False")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_limit_counts_roots_where_a_one_to_one_has_two_rows(engine: AsyncEngine, strategy: str | None) -> None:
    """Joined rows never shorten a page."""
    plan = LoadPlan(User, load(User.draft, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await fill(engine, Draft(id=3, user_id=2), Draft(id=4, user_id=1), Draft(id=5, user_id=1))
        loader = Loader(engine)
        first = await loader.fetch_all(plan, order_by=User.id, limit=2)
        rest = await loader.fetch_all(plan, order_by=User.id, limit=2, offset=1)
        last = await loader.fetch_all(plan, order_by=User.id.desc(), offset=2)
    assert [user.id for user in first] == [1, 2]
    assert [user.id for user in rest] == [2, 3]
    assert [user.id for user in last] == [1]


async def test_a_limit_on_a_constrained_one_to_one_needs_no_subquery(engine: AsyncEngine) -> None:
    """The unique key says that there is one row: a plain LIMIT holds."""
    plan = LoadPlan(User, load(User.profile), load("password"))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            users = await Loader(engine).fetch_all(plan, limit=2)
    assert [user.id for user in users] == [1, 2]
    assert " IN (" not in statements[0]


@pytest.mark.parametrize("key", ["profile", "draft", "password"])
async def test_inner_drops_the_parents_without_a_row(engine: AsyncEngine, key: str) -> None:
    """``strategy="inner"`` is for those who know, and is what SQLAlchemy does with ``innerjoin=True``."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        users = await Loader(engine).fetch_all(LoadPlan(User, load(key, strategy="inner")), order_by=User.id)
        async with AsyncSession(engine) as session:
            statement = select(User).options(joinedload(getattr(User, key), innerjoin=True)).order_by(User.id)
            expected = (await session.scalars(statement)).unique().all()
    assert [user.id for user in users] == [user.id for user in expected] == [1 if key == "password" else 2]
