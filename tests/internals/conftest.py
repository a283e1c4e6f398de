"""The forest in a database.

The tests of this folder speak to SQLAlchemy as ``loadplan.sqlalchemy_internals`` does, without plans or loaders, so
that a new release of SQLAlchemy which breaks one of them is told from a mistake of our own.
"""

from collections.abc import Iterator

import pytest
from forest import Base, Bird, Leaf, Tree
from sqlalchemy import StaticPool, create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.orm import (
    Session,
)


@pytest.fixture
def database() -> Iterator[Engine]:
    """A forest on a synchronous SQLite: what is tested here knows nothing of asyncio."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Tree(id=1, leaves=[Leaf(id=1), Leaf(id=2)], birds=[Bird(id=1)]))
        session.commit()
    yield engine
    engine.dispose()
