"""Who may see what: an API key names continents, and every other one is not there for whoever holds it.

The rule sits on the session class, so it holds for whatever is read through such a session: by a ``Loader``, by a
``select`` of one's own, at the root and below. A session that was made without saying for whom reads nothing at all.
"""

import functools

from sqlalchemy import ColumnElement, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from atlas.models import City, Continent, Country

REGION = "region"
"""Key of ``session.info``: codes of the continents that may be seen."""

Region = frozenset[str]


class RegionSession(Session):
    """A session that reads the rows of its region."""


class NoRegion(RuntimeError):  # noqa: N818 - says what is missing
    """A statement was about to run for nobody in particular."""


@functools.lru_cache(maxsize=1_000)
def criteria(region: Region) -> tuple[ExecutableOption, ...]:
    """Return what limits a statement to a region: a rule for each entity that belongs to one.

    A city goes by its country. Currencies and languages belong to all; the countries that use them do not.
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
    """Have every statement read the session's region alone."""
    region = state.session.info.get(REGION)
    if region is None:
        raise NoRegion("make the session with info={REGION: ...}")
    if not state.is_column_load and not state.is_relationship_load:  # those have the criteria of their statement
        state.statement = state.statement.options(*criteria(region))


def region_sessions(engine: AsyncEngine, region: Region) -> async_sessionmaker[AsyncSession]:
    """Return what makes sessions for a region. ``Loader(region_sessions(...))`` reads nothing else."""
    return async_sessionmaker(engine, sync_session_class=RegionSession, info={REGION: region}, expire_on_commit=False)
