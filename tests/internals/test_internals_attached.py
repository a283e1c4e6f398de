"""What graphs in a caller's session rely on: names of SQLAlchemy that nobody documents, each with a test."""

import warnings
from typing import Any

import pytest
from forest import Leaf, Tree
from sqlalchemy import event, select
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import PassiveFlag, Session, load_only
from sqlalchemy.orm.attributes import instance_state

from loadplan import sqlalchemy_internals as internals


def test_a_column_that_a_statement_left_out_loads_as_on_first_access(database: Engine) -> None:
    """``Strategy._load_for_state`` of deferred columns, for a column that the mapping does not defer."""
    with Session(database) as session:
        tree = session.scalars(select(Tree).options(load_only(Tree.id))).one()
        assert "name" not in tree.__dict__
        nothing = internals.load_column_as_mapped(instance_state(tree), "name", PassiveFlag.PASSIVE_NO_FETCH)
        assert nothing is internals.NO_RESULT
        internals.load_column_as_mapped(instance_state(tree), "name", PassiveFlag.PASSIVE_OFF)
        assert tree.__dict__["name"] == "oak"


async def test_an_asynchronous_driver_can_be_waited_for_in_a_greenlet_alone() -> None:
    """``in_greenlet`` is what ``await_only`` asks before it waits."""
    assert not internals.can_wait()
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        assert await connection.run_sync(lambda _: internals.can_wait())
    await engine.dispose()


def test_expired_columns_are_guarded_with_the_name_that_was_read(database: Engine) -> None:
    """``ClassManager.expired_attribute_loader``, and the frame of ``_fire_loader_callables``."""

    class AskedError(Exception):
        pass

    asked: list[str] = []
    refuses = False

    def guard(state: Any, key: str) -> None:
        asked.append(key)
        if refuses:
            raise AskedError

    loader = Tree.__mapper__.class_manager.expired_attribute_loader
    internals.guard_expired(Tree.__mapper__, guard)
    internals.guard_expired(Tree.__mapper__, guard)
    try:
        with Session(database) as session:
            tree = session.scalars(select(Tree)).one()
            session.expire(tree)
            assert (tree.kind, tree.name) == ("tree", "oak")
            assert asked == ["kind"]
            session.expire(tree)
            refuses = True
            for _ in range(2):
                with pytest.raises(AskedError):
                    _ = tree.name
            refuses = False
            assert tree.name == "oak"
            assert asked == ["kind", "name", "name", "name"]
    finally:
        Tree.__mapper__.class_manager.expired_attribute_loader = loader


def test_loaders_are_replaced_and_nothing_else(database: Engine) -> None:
    """``InstanceState.callables`` of an object in a session; what expired stays expired."""
    with Session(database) as session:
        tree = session.scalars(select(Tree)).one()
        session.expire(tree, ["name"])
        loaders = {"leaves": lambda state, passive: []}
        internals.replace_loaders(instance_state(tree), loaders)
        assert internals.installed_loaders(instance_state(tree)) is loaders
        assert instance_state(tree).expired_attributes == {"name"}


def test_an_instance_is_attached_as_a_loaded_one(database: Engine) -> None:
    """``InstanceState.session_id`` and ``IdentityMap._add_unpresent``: no cascade, and no event of going back in."""
    with Session(database) as session:
        tree = session.scalars(select(Tree)).one()
        key = instance_state(tree).key
    heard: list[str] = []
    with Session(database) as session:
        event.listen(session, "before_attach", lambda *_: heard.append("before"))
        event.listen(session, "detached_to_persistent", lambda *_: heard.append("back"))
        internals.attach_as_loaded(session, tree)
        assert tree in session
        assert session.identity_map[key] is tree  # type: ignore[index]
        assert session.get(Tree, 1) is tree
        assert [each.id for each in tree.leaves] == [1, 2]
        tree.name = "elm"
        assert tree in session.dirty
        session.commit()
        assert heard == []
        assert tree.name == "elm"
        session.expunge(tree)
        assert tree not in session


def test_changes_wait_for_a_collection_that_is_not_loaded(database: Engine) -> None:
    """``InstanceState._pending_mutations``."""
    with Session(database, autoflush=False) as session:
        tree = session.scalars(select(Tree)).one()
        assert not internals.has_waiting_changes(instance_state(tree), "leaves")
        session.add(Leaf(id=9, tree=tree))
        assert internals.has_waiting_changes(instance_state(tree), "leaves")
        assert [each.id for each in tree.leaves] == [1, 2, 9]
        assert not internals.has_waiting_changes(instance_state(tree), "leaves")


def test_a_collection_that_is_no_longer_the_owners_warns(database: Engine) -> None:
    """``CollectionAdapter.invalidated``."""
    with Session(database) as session:
        tree = session.scalars(select(Tree)).one()
        old = tree.leaves
        internals.invalidate_collection(old)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            old.append(Leaf(id=8))
        assert any("invalidated" in str(each.message) for each in seen)


def test_the_refresh_event_is_fired(database: Engine) -> None:
    """``ClassManager.dispatch.refresh``, as ``loading.py`` calls it."""
    heard: list[Any] = []

    def refreshed(target: Any, context: Any, names: Any) -> None:
        heard.append((target, context, names))

    event.listen(Tree, "refresh", refreshed)
    try:
        with Session(database) as session:
            tree = session.scalars(select(Tree)).one()
            internals.tell_of_refresh(tree, ["name", "kind"])
            assert heard == [(tree, None, {"name", "kind"})]
    finally:
        event.remove(Tree, "refresh", refreshed)
