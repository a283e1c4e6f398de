"""What instances made straight of rows rely on: names of SQLAlchemy that nobody documents, each with a test."""

from typing import Any

from forest import Base, Bird, Leaf, Tree
from sqlalchemy import Engine, event, inspect
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import InstanceState, Mapped, Session, mapped_column, registry, relationship
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import InstrumentedList, collection_adapter

from loadplan import sqlalchemy_internals as internals


def made(cls: Any, values: dict[str, Any], *, plain: bool = True) -> Any:
    """Make an instance as generated code does."""
    entity = cls.__new__(cls)
    mapper = inspect(cls)
    given = {
        "State": InstanceState,
        "install_state": internals.install_state,
        "o": entity,
        "d": entity.__dict__,
        "manager": mapper.class_manager,
        "identity": mapper.identity_key_from_primary_key((None,))[0],
        "key": (values["id"],),
        "seal": {},
    }
    entity.__dict__.update(values)
    names = ("o", "d", "manager", "identity", "key", "seal")
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
    assert internals.extend_silently(disc, "songs", [song])
    assert (disc.songs[0].place, inspect(song).modified) == (7, False)
    assert not internals.extend_silently(made(Bird, {"id": 1}), "trees", [])
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
