"""Shapes of PostGIS by GeoAlchemy2. test_postgis.py runs this file in a process of its own."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from geoalchemy2 import Geometry, WKBElement, WKTElement
from keys_of_types import check_keys, fill_keys
from sqlalchemy import URL, Double, ForeignKey, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import tables
from system_postgres import system_postgres


class GeoBase(DeclarativeBase):
    pass


class Region(GeoBase):
    __tablename__ = "ext_regions"
    id: Mapped[int] = mapped_column(primary_key=True)
    shape: Mapped[Any] = mapped_column(Geometry("POLYGON", srid=4326, spatial_index=False))
    places: Mapped[list["Spot"]] = relationship(back_populates="region", order_by="Spot.id")


class Spot(GeoBase):
    __tablename__ = "ext_spots"
    id: Mapped[int] = mapped_column(primary_key=True)
    region_id: Mapped[int] = mapped_column(ForeignKey("ext_regions.id"), index=True)
    at: Mapped[Any] = mapped_column(Geometry("POINT", srid=4326, spatial_index=False), nullable=True)
    region: Mapped[Region] = relationship(back_populates="places")


class Zone(GeoBase):
    """Its key is a shape."""

    __tablename__ = "ext_zones"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(Geometry("POINT", srid=4326, spatial_index=False), unique=True)
    sites: Mapped[list["Site"]] = relationship(back_populates="zone", order_by="Site.id")


class Site(GeoBase):
    __tablename__ = "ext_sites"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Any] = mapped_column(Geometry("POINT", srid=4326, spatial_index=False), ForeignKey(Zone.key))
    zone: Mapped[Zone] = relationship(back_populates="sites")


@dataclass
class SpotCard:
    id: int
    at: Any


@dataclass
class RegionCard:
    id: int
    shape: Any
    places: list[SpotCard]


REGION = LoadPlan(Region, load(Region.places), name="region")
REGION_CARD = LoadPlan(Region, into=RegionCard)
SPOT = LoadPlan(Spot, load(Spot.region), name="spot")
SQUARE = "POLYGON((0 0,9 0,9 9,0 9,0 0))"


@pytest.fixture(scope="module")
def postgis_url() -> Iterator[URL]:
    """A PostgreSQL with PostGIS."""
    with system_postgres("postgis") as url:
        yield url


@pytest.fixture(params=["asyncpg", "psycopg"])
async def map_of_places(request: pytest.FixtureRequest, postgis_url: URL) -> AsyncIterator[AsyncEngine]:
    """A region with four spots on a line; one spot is nowhere."""
    engine = create_async_engine(postgis_url.set(drivername=f"postgresql+{request.param}"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS postgis"))
    async with tables(engine, GeoBase.metadata):
        async with AsyncSession(engine) as session:
            session.add(Region(id=1, shape=WKTElement(SQUARE, 4326)))
            points = [WKTElement(f"POINT({number} 1)", 4326) if number else None for number in range(4)]
            session.add_all(Spot(id=number, region_id=1, at=point) for number, point in enumerate(points))
            await session.commit()
        yield engine
    await engine.dispose()


async def test_shapes_are_values_of_entities_and_views(map_of_places: AsyncEngine) -> None:
    loader = Loader(map_of_places)
    async with AsyncSession(map_of_places) as session:
        expected = [(each.id, each.at) for each in await session.scalars(select(Spot).order_by(Spot.id))]
        outline = (await session.get_one(Region, 1)).shape
    for plan in (REGION, REGION_CARD):
        region: Any = await loader.fetch(plan, 1)
        assert region.shape == outline
        assert type(region.shape) is WKBElement
        assert [(each.id, each.at) for each in region.places] == expected
    spot = await loader.fetch(SPOT, 2)
    assert (spot.at, spot.region.shape) == (expected[2][1], outline)
    assert [each.region.shape for each in await loader.fetch_many(SPOT, [0, 3])] == [outline] * 2


async def test_shapes_are_keys_at_both_ends(map_of_places: AsyncEngine) -> None:
    await fill_keys(map_of_places, Zone, Site, [WKTElement(f"POINT({number} 1)", 4326) for number in (3, 1, 2)])
    await check_keys(map_of_places, Zone.sites, Site.zone, order=None)


async def test_spots_come_nearest_first_and_by_pages(map_of_places: AsyncEngine) -> None:
    distance = func.ST_Distance(Spot.at, WKTElement("POINT(3 1)", 4326), type_=Double)
    loader = Loader(map_of_places)
    found, after = [], None
    while True:
        page = await loader.fetch_page(SPOT, distance.nulls_last(), 1, after=after)
        found += [each.id for each in page.items]
        if (after := page.next) is None:
            break
    assert found == [3, 2, 1, 0]
    nearest = LoadPlan(Region, load(Region.places, order_by=distance, limit=2))
    assert [each.id for each in (await loader.fetch(nearest, 1)).places] == [3, 2]
    inside = await loader.fetch_all(SPOT, Spot.region.has(Region.shape.ST_Contains(Spot.at)), order_by=Spot.id)
    assert [each.id for each in inside] == [1, 2, 3]
