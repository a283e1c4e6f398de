"""What instances made straight of rows rely on: names of SQLAlchemy that nobody documents, each with a test."""

import copy
import gc
import pickle
from typing import Any
from weakref import ref

import pytest
from forest import Base, Bird, Leaf, Tree
from sqlalchemy import Engine, event, inspect
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import InstanceState, Mapped, Session, mapped_column, registry, relationship
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import InstrumentedList, collection_adapter

from loadplan import sqlalchemy_internals as internals

#: What is asked for the attributes that these instances lack.
LOADERS: dict[str, Any] = {}


def made(cls: Any, values: dict[str, Any], *, plain: bool = True) -> Any:
    """Make an instance as generated code does."""
    entity = cls.__new__(cls)
    mapper = inspect(cls)
    mapper.registry.configure()
    given = {
        "State": internals.UnfinishedState,
        "ref": ref,
        "install_state": internals.install_state,
        "o": entity,
        "d": entity.__dict__,
        "origin": internals.Origin(
            mapper.class_manager, mapper.identity_key_from_primary_key((None,))[0], lambda key: (key,), LOADERS
        ),
        "key": values["id"],
    }
    entity.__dict__.update(values)
    names = ("o", "d", "origin", "key")
    exec("\n".join(internals.state_script(*names, plain=plain)), given)  # noqa: S102 - the source is ours
    return entity


def test_a_state_made_by_hand_is_that_of_a_detached_object(database: Engine) -> None:
    """Identity, no history, a change that flushes: as of an object that SQLAlchemy loaded and let go."""
    for plain in (True, False):
        tree = made(Tree, {"id": 1, "name": "oak", "kind": "tree"}, plain=plain)
        state = inspect(tree)
        assert state.detached
        assert not state.modified
        assert state.identity_key == (Tree, (1,), None)
        tree.name = "elm"
        with Session(database) as session:
            session.add(tree)
            session.flush()
            assert session.connection().exec_driver_sql("SELECT name FROM int_trees WHERE id = 1").scalar() == "elm"


@pytest.mark.parametrize(
    "name", ["class_", "manager", "committed_state", "expired_attributes", "key", "callables", "identity"]
)
def test_a_state_is_finished_by_the_first_question(name: str) -> None:
    """Whatever is asked for first, the answer is that of a state which SQLAlchemy made."""
    tree, other = made(Tree, {"id": 1}), made(Tree, {"id": 1})
    state: Any = instance_state(tree)
    assert type(state) is internals.UnfinishedState
    assert internals.installed_loaders(state) is LOADERS
    assert type(state) is internals.UnfinishedState
    expected: Any = InstanceState(other, inspect(Tree).class_manager)
    expected.key, expected.callables = (Tree, (1,), None), LOADERS
    assert getattr(state, name) == getattr(expected, name)
    assert isinstance(state, InstanceState)
    assert state.obj() is tree
    assert set(InstanceState.__slots__) - {"__dict__", "__weakref__"} == {
        *("class_", "manager", "obj", "committed_state", "expired_attributes")
    }


@pytest.mark.parametrize("name", ["committed_state", "expired_attributes", "key", "callables"])
def test_what_is_set_or_deleted_first_holds(name: str) -> None:
    state: Any = instance_state(made(Tree, {"id": 1}))
    setattr(state, name, given := {"a": 1})
    assert getattr(state, name) is given
    again = instance_state(made(Tree, {"id": 1}))
    delattr(again, name)
    assert vars(again).get(name) is None


def test_a_state_outlives_its_instance() -> None:
    """A list, or a copy, may hold the state of an instance that is gone."""
    tree = made(Tree, {"id": 1})
    state = instance_state(tree)
    copied = copy.copy(tree)
    del tree
    gc.collect()
    assert (state.obj(), state.key, state.class_) == (None, (Tree, (1,), None), Tree)
    assert inspect(copied).identity == (1,)
    assert copied.id == 1


def test_a_session_lets_go_of_an_instance_that_nobody_holds(database: Engine) -> None:
    """The state tells the session of the end of its instance, also where it was made late."""
    tree = made(Tree, {"id": 1, "name": "oak", "kind": "tree"})
    with Session(database) as session:
        session.add(tree)
        assert len(session.identity_map) == 1
        del tree
        gc.collect()
        assert not list(session.identity_map)
        assert not session.identity_map._dict  # what is left is no more than an empty map


def test_pickles_and_copies_have_plain_states() -> None:
    for finished in (False, True):
        tree = made(Tree, {"id": 1, "name": "oak"})
        tree.__dict__["leaves"] = internals.collection_of("leaves")(
            instance_state(tree), [leaf := made(Leaf, {"id": 2})]
        )
        if finished:
            assert inspect(tree).identity == (1,)
            assert collection_adapter(tree.leaves).attr.key == "leaves"
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            back = pickle.loads(pickle.dumps(tree, protocol))
            assert type(instance_state(back)) is InstanceState
            assert (back.id, back.leaves[0].id, inspect(back).identity) == (1, 2, (1,))
            assert collection_adapter(back.leaves).owner_state is instance_state(back)
        deep = copy.deepcopy(tree)
        assert type(instance_state(deep)) is InstanceState
        assert (inspect(deep).identity, inspect(deep).modified, deep.leaves[0] is leaf) == ((1,), False, False)
    assert type(internals.blank_state()) is InstanceState


def test_an_adapter_is_finished_by_the_first_question() -> None:
    tree = made(Tree, {"id": 1})
    found = internals.collection_of("leaves")(instance_state(tree), [])
    adapter: Any = collection_adapter(found)
    assert (adapter.invalidated, adapter.empty, adapter.data is found) == (False, False, True)
    assert adapter.attr is inspect(Tree).class_manager["leaves"].impl
    left: Any = collection_adapter(internals.collection_of("leaves")(instance_state(tree), []))
    gc.collect()
    assert (left.invalidated, left.data) == (False, None)


def test_a_state_goes_where_its_class_keeps_it() -> None:
    bird = Bird.__new__(Bird)
    state: Any = InstanceState(bird, inspect(Bird).class_manager)
    internals.install_state(bird, state)
    assert instance_state(bird) is state


def test_a_state_in_a_slot_is_told_from_one_in_the_dictionary() -> None:
    class Slotted:
        __slots__ = ("__dict__", "__weakref__", "_sa_instance_state")

    class Below(Slotted):
        pass

    assert internals.keeps_state_in_dict(Tree)
    assert not internals.keeps_state_in_dict(Below)


def test_a_list_made_at_once_is_one_that_sqlalchemy_would_have_filled() -> None:
    """It is known to its owner, announces what is appended later, and its making is no change."""
    tree, leaf = made(Tree, {"id": 1}), made(Leaf, {"id": 1, "tree_id": 1})
    assert internals.is_plain_list(inspect(Tree), "leaves")
    found = internals.collection_of("leaves")(instance_state(tree), [leaf])
    tree.__dict__["leaves"] = found
    assert type(found) is InstrumentedList
    assert collection_adapter(found).owner_state is instance_state(tree)
    assert not inspect(tree).modified
    tree.leaves.append(new := Leaf(id=2))
    assert inspect(tree).attrs.leaves.history.added == [new]
    assert new.tree is tree


def test_an_ordering_list_is_filled_without_being_numbered_anew() -> None:
    reg = registry()

    @reg.mapped
    class Song:
        __tablename__ = "int_songs"
        id: Mapped[int] = mapped_column(primary_key=True)
        disc_id: Mapped[int] = mapped_column()
        place: Mapped[int] = mapped_column()

    @reg.mapped
    class Disc:
        __tablename__ = "int_discs"
        id: Mapped[int] = mapped_column(primary_key=True)
        songs: Mapped[list[Song]] = relationship(
            Song,
            primaryjoin="Disc.id == foreign(Song.disc_id)",
            order_by=Song.place,
            collection_class=ordering_list("place", reorder_on_append=True),
        )

    reg.configure()
    disc, song = made(Disc, {"id": 1}), made(Song, {"id": 1, "disc_id": 1, "place": 7})
    assert not internals.is_plain_list(inspect(Disc), "songs")
    internals.fill_silently(disc, "songs", [song])
    assert (disc.songs[0].place, inspect(song).modified) == (7, False)
    reg.dispose()


def test_load_listeners_are_known_and_told() -> None:
    heard: list[Any] = []

    def listen(entity: Any, context: Any) -> None:
        heard.append((entity, context))

    assert not internals.has_load_listeners(inspect(Bird))
    event.listen(Bird, "load", listen)
    try:
        assert internals.has_load_listeners(inspect(Bird))
        bird = made(Bird, {"id": 1})
        internals.tell_of_load(bird)
    finally:
        event.remove(Bird, "load", listen)
    assert heard == [(bird, None)]


def test_a_session_hears_what_was_loaded_on_its_behalf(database: Engine) -> None:
    heard: list[Any] = []
    bird = made(Bird, {"id": 1})
    with Session(database) as session:
        internals.tell_of_persistence(session, [bird])
        event.listen(session, "loaded_as_persistent", lambda _, entity: heard.append(entity))
        internals.tell_of_persistence(session, [bird])
        internals.tell_of_persistence(database, [bird])
    assert heard == [bird]
    assert Base.metadata.tables
