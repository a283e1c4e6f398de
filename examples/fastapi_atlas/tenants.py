"""Limits an API key to some continents. Requests with the key do not see rows of other continents.

The rule is on the session class, so it applies to everything that a session reads: by a ``Loader``, by a ``select``,
at the root and below. A session that was made without a region raises an error when it reads.
"""

import functools

from sqlalchemy import ColumnElement, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from atlas.models import City, Continent, Country

REGION = "region"
"""The key of ``session.info`` for the codes of the continents that the session may see."""

Region = frozenset[str]


class RegionSession(Session):
    """A session that reads the rows of its region."""


class NoRegion(RuntimeError):  # noqa: N818 - the name says what is missing
    """A statement was about to run in a session without a region."""


@functools.lru_cache(maxsize=1_000)
def criteria(region: Region) -> tuple[ExecutableOption, ...]:
    """Return the criteria that limit a statement to a region: a rule for each entity that belongs to a region.

    A city belongs to the region of its country. Currencies and languages belong to all regions, but the countries that
    use them do not.
    """
    codes = sorted(region)
    countries = select(Country.__table__.c.iso).where(Country.__table__.c.continent_code.in_(codes))
    rules: tuple[tuple[type, ColumnElement[bool]], ...] = (
        (Continent, Continent.code.in_(codes)),
        (Country, Country.continent_code.in_(codes)),
        (City, City.country_iso.in_(countries)),
    )
    return tuple(with_loader_criteria(entity, rule, include_aliases=True) for entity, rule in rules)


@event.listens_for(RegionSession, "do_orm_execute")
def keep_to_the_region(state: ORMExecuteState) -> None:
    """Limit every statement of a session to its region."""
    region = state.session.info.get(REGION)
    if region is None:
        raise NoRegion("make the session with info={REGION: ...}")
    if not state.is_column_load and not state.is_relationship_load:  # those loads inherit the criteria
        state.statement = state.statement.options(*criteria(region))


def region_sessions(engine: AsyncEngine, region: Region) -> async_sessionmaker[AsyncSession]:
    """Return a sessionmaker for a region. ``Loader(region_sessions(...))`` reads only rows of the region."""
    return async_sessionmaker(engine, sync_session_class=RegionSession, info={REGION: region}, expire_on_commit=False)
