"""What sealed and detached objects rely on: names of SQLAlchemy that nobody documents, each with a test."""

import copy
import pickle
from typing import Any

import pytest
from forest import Bird, Fruit, Leaf, Tree
from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import (
    LoaderCallableStatus,
    PassiveFlag,
    Session,
    selectinload,
    with_loader_criteria,
)
from sqlalchemy.orm.attributes import instance_state

from loadplan import sqlalchemy_internals as internals


class AskedError(Exception):
    """What a loader of the test raises when it is asked for a value."""


def loader(state: Any, passive: PassiveFlag) -> Any:
    """Stand for an attribute that has no value. At module level, so that it pickles."""
    if not passive & PassiveFlag.SQL_OK:
        return internals.NO_RESULT
    if passive & PassiveFlag.NO_RAISE:
        return internals.load_as_mapped(state, "leaves", passive)
    raise AskedError


def detached_tree(database: Engine, *options: Any) -> Tree:
    with Session(database) as session:
        return session.scalars(select(Tree).options(*options)).one()


def refuses(entity: Any, name: str = "leaves") -> bool:
    try:
        getattr(entity, name)
    except AskedError:
        return True
    return False


def test_callables_are_asked_before_the_mapping_and_travel_with_the_object(database: Engine) -> None:
    """``InstanceState.callables``: detached, pickled, copied, re-attached; for relationships and for columns."""
    tree = detached_tree(database)
    internals.install_loaders(tree, {"leaves": loader, "note": loader})
    assert dict(internals.installed_loaders(instance_state(tree))) == {"leaves": loader, "note": loader}
    for each in (tree, pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree), copy.copy(tree)):
        assert refuses(each)
        assert refuses(each, "note")
        assert each.name == "oak"
    with Session(database) as session:
        session.add(tree)
        assert refuses(tree)
        assert refuses(tree, "note")


def test_a_value_in_the_dict_is_never_asked_for(database: Engine) -> None:
    tree = detached_tree(database, selectinload(Tree.leaves))
    internals.install_loaders(tree, {"leaves": loader, "name": loader})
    assert [leaf.id for leaf in tree.leaves] == [1, 2]
    assert tree.name == "oak"


def test_the_mapping_of_loaders_is_kept_as_it_is_and_not_copied(database: Engine) -> None:
    """One value is shared by all objects of a place: O(1) a row."""
    loaders = {"leaves": loader}
    tree = detached_tree(database)
    internals.install_loaders(tree, loaders)
    assert internals.installed_loaders(instance_state(tree)) is loaders


def test_back_references_ask_without_leave_to_run_sql(database: Engine) -> None:
    """NO_RESULT is the answer then, and the change waits for the collection: ``leaf.tree = tree`` does not raise."""
    tree = detached_tree(database)
    internals.install_loaders(tree, {"leaves": loader})
    leaf = Leaf(id=9)
    leaf.tree = tree
    assert leaf.tree is tree
    assert "leaves" not in vars(tree)
    assert internals.NO_RESULT is LoaderCallableStatus.PASSIVE_NO_RESULT


def test_the_unit_of_work_asks_with_no_raise_and_is_given_the_rows(database: Engine) -> None:
    """``AttributeImpl.callable_``: a delete sees the children that were never loaded."""
    tree = detached_tree(database)
    internals.install_loaders(tree, {"leaves": loader, "birds": lambda state, passive: _birds(state, passive)})
    with Session(database) as session:
        session.add(tree)
        session.delete(tree)
        session.commit()
        assert session.scalars(select(Leaf)).all() == []


def _birds(state: Any, passive: PassiveFlag) -> Any:
    if passive & PassiveFlag.NO_RAISE:
        return internals.load_as_mapped(state, "birds", passive)
    return internals.NO_RESULT


def test_load_as_mapped_answers_as_the_mapping_would(database: Engine) -> None:
    with Session(database) as session:
        tree = session.scalars(select(Tree)).one()
        state = instance_state(tree)
        assert [leaf.id for leaf in internals.load_as_mapped(state, "leaves", PassiveFlag.PASSIVE_OFF)] == [1, 2]
        answer = internals.load_as_mapped(state, "note", PassiveFlag.PASSIVE_OFF)
        assert answer in (LoaderCallableStatus.ATTR_WAS_SET, "n")
        assert tree.note == "n"
        assert internals.load_as_mapped(state, "name", PassiveFlag.PASSIVE_OFF) is LoaderCallableStatus.ATTR_EMPTY


def test_refresh_and_expire_take_entries_out_of_callables(database: Engine) -> None:
    """Which is why the shared mapping drops changes: SQLAlchemy mutates it in place."""
    tree = detached_tree(database)
    loaders = {"name": loader, "leaves": loader}
    internals.install_loaders(tree, loaders)
    with Session(database) as session:
        session.add(tree)
        session.expire(tree)
        session.refresh(tree)
        assert "name" not in loaders


def test_options_of_the_statement_are_kept_on_the_state_and_gone_after_installing(database: Engine) -> None:
    """``load_options`` and ``load_path`` in the state's ``__dict__``: criteria there cannot be pickled."""
    name = "oak"
    criteria = with_loader_criteria(Tree, lambda cls: cls.name == name, include_aliases=True)
    tree = detached_tree(database, criteria, selectinload(Tree.leaves))
    assert instance_state(tree).load_options
    with pytest.raises(Exception, match=r"(?i)pickle|lambda"):
        pickle.dumps(tree)
    for each in (tree, *tree.leaves):
        internals.install_loaders(each, {})
        assert not instance_state(each).load_options
    assert pickle.loads(pickle.dumps(tree)).leaves[1].id == 2


def test_columns_of_a_subclass_are_expired_and_would_be_asked_before_callables(database: Engine) -> None:
    """``expired_attributes``: a row of a subclass reached from its base."""
    with Session(database) as session:
        session.add(Fruit(id=2, taste="sweet"))
        session.commit()
    with Session(database) as session:
        fruit = session.scalars(select(Tree).where(Tree.id == 2)).one()
    assert "taste" in instance_state(fruit).expired_attributes
    internals.install_loaders(fruit, {"taste": loader})
    assert not instance_state(fruit).expired_attributes
    assert refuses(fruit, "taste")


def test_a_dynamic_attribute_calls_its_query_class_on_every_read(database: Engine) -> None:
    """``impl.query_class(impl, state)``; detached it would answer with nothing, and warn at most."""
    asked: list[str] = []
    mapper = Tree.__mapper__
    impl: Any = mapper.class_manager["later"].impl
    before = impl.query_class
    try:
        internals.guard_dynamic(mapper, "later", lambda state, key: asked.append(key))
        internals.guard_dynamic(mapper, "later", lambda state, key: asked.append("twice"))
        with Session(database) as session:
            tree = session.get_one(Tree, 1)
            assert [leaf.id for leaf in tree.later.order_by(Leaf.id)] == [1, 2]
        assert asked == ["later"]
        _ = tree.later
        assert asked == ["later", "later"]
    finally:
        impl.query_class = before


def test_deep_copies_of_a_loaded_collection_come_without_events(database: Engine) -> None:
    """``CollectionAdapter`` and its copying: a copy has nothing to flush, and takes changes as before."""
    tree = detached_tree(database, selectinload(Tree.leaves), selectinload(Tree.birds).selectinload(Bird.trees))
    for each in (tree.leaves, tree.birds, tree.birds[0].trees):
        internals.copy_quietly(each)
    again = copy.deepcopy(tree)
    assert not instance_state(again).modified
    assert [leaf.id for leaf in again.leaves] == [1, 2]
    assert len(again.birds) == 1
    assert again.birds[0].trees == [again]
    again.leaves.append(Leaf(id=9))
    assert instance_state(again).modified
    assert again.leaves[2].tree is again
    assert not instance_state(tree).modified
    assert len(tree.leaves) == 2


def test_pickles_of_such_a_collection_work_as_before(database: Engine) -> None:
    tree = detached_tree(database, selectinload(Tree.leaves))
    internals.copy_quietly(tree.leaves)
    again = pickle.loads(pickle.dumps(tree))
    assert [leaf.id for leaf in again.leaves] == [1, 2]
    again.leaves.append(Leaf(id=9))
    assert again.leaves[2].tree is again
