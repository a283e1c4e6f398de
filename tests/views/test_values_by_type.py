"""Values of portable types are what SQLAlchemy has, at every place of a view, in one statement and by level."""

import attrs
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from values_by_type import PORTABLE, Kind, hold


@pytest.mark.parametrize("kind", PORTABLE, ids=str)
async def test_a_value_is_what_an_entity_has(engine: AsyncEngine, kind: Kind) -> None:
    if engine.dialect.name == "mariadb" and kind.name == "float":
        pytest.skip("a FLOAT of MariaDB has 32 bits")
    if engine.dialect.name == "mariadb" and kind.name == "unicode":  # a VARCHAR there, which has a length
        kind = attrs.evolve(kind, values=[each for each in kind.values if len(each) <= 190])
    await hold(engine, kind)
