"""Every undocumented name of SQLAlchemy that loadplan relies on: a test that fails if its meaning changes.

These tests speak to SQLAlchemy as ``loadplan.sqlalchemy_internals`` does, without plans or loaders, so that a new
release of SQLAlchemy which breaks one of them is told from a mistake of our own.
"""

import copy
import inspect as python_inspect
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Connection, ForeignKey, StaticPool, Table, create_engine, event, literal, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    LoaderCallableStatus,
    Mapped,
    PassiveFlag,
    Session,
    attribute_keyed_dict,
    column_keyed_dict,
    configure_mappers,
    keyfunc_mapping,
    mapped_column,
    relationship,
    selectinload,
    with_loader_criteria,
)
from sqlalchemy.orm.attributes import instance_state

from loadplan import sqlalchemy_internals as internals


class Base(DeclarativeBase):
    pass


links = Table(
    "int_links",
    Base.metadata,
    Column("tree_id", ForeignKey("int_trees.id"), primary_key=True),
    Column("bird_id", ForeignKey("int_birds.id"), primary_key=True),
)


class Tree(Base):
    __tablename__ = "int_trees"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="oak")
    note: Mapped[str] = mapped_column(default="n", deferred=True)
    kind: Mapped[str] = mapped_column(default="tree")
    leaves: Mapped[list["Leaf"]] = relationship(back_populates="tree", cascade="all, delete-orphan", order_by="Leaf.id")
    later: DynamicMapped["Leaf"] = relationship(viewonly=True)
    birds: Mapped[list["Bird"]] = relationship(secondary=links, back_populates="trees")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tree"}


class Fruit(Tree):
    taste: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "fruit"}


class Leaf(Base):
    __tablename__ = "int_leaves"
    id: Mapped[int] = mapped_column(primary_key=True)
    tree_id: Mapped[int] = mapped_column(ForeignKey("int_trees.id"))
    tree: Mapped[Tree] = relationship(back_populates="leaves")


class Bird(Base):
    __tablename__ = "int_birds"
    id: Mapped[int] = mapped_column(primary_key=True)
    trees: Mapped[list[Tree]] = relationship(secondary=links, back_populates="birds")


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


def test_listeners_of_one_session_are_copied_to_another_and_stay_removable(database: Engine) -> None:
    """``Session.dispatch._update``: the public API registers listeners but never lists them."""
    heard: list[Session] = []

    def listener(state: Any) -> None:
        heard.append(state.session)

    source = Session(database)
    event.listen(source, "do_orm_execute", listener)
    target, stranger = Session(database), Session(database)
    internals.copy_listeners(source, target)
    for session in (source, target, stranger):
        session.scalars(select(Tree)).all()
    assert heard == [source, target]
    event.remove(source, "do_orm_execute", listener)
    later = Session(database)
    internals.copy_listeners(source, later)
    heard.clear()
    for session in (source, later):
        session.scalars(select(Tree)).all()
    assert heard == []
    for session in (source, target, stranger, later):
        session.close()


def test_listeners_of_the_class_are_heard_once_after_copying(database: Engine) -> None:
    class Sub(Session):
        pass

    heard: list[Any] = []
    event.listen(Sub, "do_orm_execute", heard.append)
    source, target = Sub(database), Sub(database)
    internals.copy_listeners(source, target)
    target.scalars(select(Tree)).all()
    assert len(heard) == 1
    source.close()
    target.close()


@pytest.mark.parametrize("name", ["after_begin", "after_transaction_create", "do_orm_execute"])
@pytest.mark.parametrize("on_class", [False, True])
def test_hooks_of_a_session_are_seen(database: Engine, name: str, on_class: bool) -> None:
    """The truth of ``dispatch.<event>`` is whether anybody listens, on the class or on the instance."""

    class Sub(Session):
        pass

    with Sub(database) as session:
        assert not internals.has_transaction_hooks(session, database)
        event.listen(Sub if on_class else session, name, lambda *_, **__: None)
        assert internals.has_transaction_hooks(session, database)
    with Session(database) as other:
        assert not internals.has_transaction_hooks(other, database)


@pytest.mark.parametrize("name", ["begin", "engine_connect", "before_execute", "before_cursor_execute"])
@pytest.mark.parametrize("on_class", [False, True])
def test_hooks_of_an_engine_are_seen(database: Engine, name: str, on_class: bool) -> None:
    def listener(connection: Connection, *_: Any, **__: Any) -> None:
        """Listen, and do nothing."""

    with Session(database) as session:
        assert not internals.has_transaction_hooks(session, database)
        target: Any = Engine if on_class else database
        event.listen(target, name, listener)
        try:
            assert internals.has_transaction_hooks(session, database)
            optioned = database.execution_options(compiled_cache=None)
            assert internals.has_transaction_hooks(session, optioned)
        finally:
            event.remove(target, name, listener)
        assert not internals.has_transaction_hooks(session, database)


def test_what_changes_the_statements_of_a_session_is_seen(database: Engine) -> None:
    """``Session.dispatch``, an overridden ``execute``, ``Session.execution_options``."""

    class Plain(Session):
        pass

    class Own(Session):
        def execute(self, *args: Any, **options: Any) -> Any:
            return super().execute(*args, **options)

    with Plain(database) as session:
        assert not internals.changes_statements(session)
        event.listen(session, "do_orm_execute", lambda state: None)
        assert internals.changes_statements(session)
    with Plain(database) as session:
        assert not internals.changes_statements(session)
    event.listen(Plain, "do_orm_execute", lambda state: None)
    with Plain(database) as session:
        assert internals.changes_statements(session)
    with Own(database) as session:
        assert internals.changes_statements(session)
    if hasattr(Session, "execution_options") or "execution_options" in python_inspect.signature(Session).parameters:
        with Session(database, execution_options={"x": 1}) as session:
            assert internals.changes_statements(session)


def test_an_expression_tells_the_attribute_it_came_from() -> None:
    """``_annotations``: ``parententity`` and ``proxy_key``."""
    assert internals.attribute_behind(Tree.name.expression) == (Tree, "name")
    assert internals.attribute_behind(Tree.name.desc().element) == (Tree, "name")
    assert internals.attribute_behind((Tree.id > 3).left) == (Tree, "id")
    assert internals.attribute_behind(Tree.__table__.c.name) is None


def test_of_type_is_kept_by_the_attribute() -> None:
    """``QueryableAttribute._of_type``."""
    assert internals.subtype_of(Bird.trees.of_type(Fruit)) is Fruit
    assert internals.subtype_of(Bird.trees) is None


def test_the_isolation_of_an_engine_is_known() -> None:
    """Chosen for the engine, or at create_engine, which a private name of the dialect keeps."""
    plain = create_engine("sqlite://")
    assert internals.chosen_isolation(plain.execution_options(isolation_level="SERIALIZABLE")) == "SERIALIZABLE"
    uncommitted = create_engine("sqlite://", isolation_level="READ UNCOMMITTED")
    assert internals.chosen_isolation(uncommitted) == "READ UNCOMMITTED"
    assert internals.chosen_isolation(plain) != "READ UNCOMMITTED"


def test_a_dictionary_collection_tells_what_it_is_keyed_by() -> None:
    """``keyfunc.attr_name`` of attribute_keyed_dict, ``keyfunc._cols`` of column_keyed_dict."""

    class Keyed(DeclarativeBase):
        pass

    class Word(Keyed):
        __tablename__ = "int_words"
        id: Mapped[int] = mapped_column(primary_key=True)
        book_id: Mapped[int] = mapped_column(ForeignKey("int_books.id"))
        text_: Mapped[str] = mapped_column("text")

    class Book(Keyed):
        __tablename__ = "int_books"
        id: Mapped[int] = mapped_column(primary_key=True)
        by_name: Mapped[dict[str, Word]] = relationship(collection_class=attribute_keyed_dict("text_"), viewonly=True)
        by_column: Mapped[dict[str, Word]] = relationship(
            collection_class=column_keyed_dict(Word.__table__.c.text), viewonly=True
        )
        by_function: Mapped[dict[str, Word]] = relationship(
            collection_class=keyfunc_mapping(lambda word: word.text_[:1]), viewonly=True
        )
        plain: Mapped[list[Word]] = relationship(viewonly=True)

    configure_mappers()
    found = {prop.key: internals.keyed_by(prop) for prop in Book.__mapper__.relationships}
    assert found == {"by_name": ("text_",), "by_column": ("text_",), "by_function": None, "plain": ()}


def test_what_a_relationship_was_declared_with_is_readable_before_the_mappers_are_configured() -> None:
    """``RelationshipProperty._init_args``: names, expressions in strings, lambdas; and reading configures nothing."""

    class Other(DeclarativeBase):
        pass

    class Early(Other):
        __tablename__ = "int_early"
        id: Mapped[int] = mapped_column(primary_key=True)
        many: Mapped[list[Any]] = relationship(
            "Late", primaryjoin="Early.id == foreign(Late.early_id)", order_by="Late.id", back_populates="one"
        )

    mapper = Early.__mapper__
    prop: Any = Early.many.comparator.prop  # type: ignore[attr-defined]
    declared = list(internals.declared_arguments(prop))
    assert {"Late", "Early.id == foreign(Late.early_id)", "Late.id"} <= {
        each for each in declared if isinstance(each, str)
    }
    assert "one" not in declared
    assert not mapper.configured

    class Late(Other):
        __tablename__ = "int_late"
        id: Mapped[int] = mapped_column(primary_key=True)
        early_id: Mapped[int]
        one: Mapped[Any] = relationship(
            "Early", primaryjoin="foreign(Late.early_id) == Early.id", back_populates="many"
        )

    configure_mappers()
    assert mapper.configured


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


def test_objects_leave_a_session_whose_result_goes_on(database: Engine) -> None:
    """``_expunge_states`` takes states; after it the next partition still finds an identity map to fill."""
    with Session(database) as session:
        statement = select(Tree).order_by(Tree.id).execution_options(yield_per=1)
        parts = session.scalars(statement).partitions()
        (first,) = next(parts)
        internals.detach_all(session, [first, first])
        assert instance_state(first).detached
        assert list(session.identity_map.values()) == []
        for part in parts:
            assert all(each in session for each in part)


def test_overlaps_are_kept_where_they_are_looked_for() -> None:
    """``_overlaps`` tells whether the argument was given."""
    assert not internals.is_told_to_overlap(Tree.leaves.property)
    assert internals.is_told_to_overlap(relationship(overlaps="leaves,tree"))  # type: ignore[arg-type]


def test_expressions_that_differ_in_values_alone_have_one_shape() -> None:
    """``ClauseElement._generate_cache_key``."""
    one, same, other = (internals.shape_of(each) for each in (Tree.id > 3, Tree.id > 4, Tree.id < 3))
    assert one is not None
    assert same is not None
    assert other is not None
    assert one[0] == same[0] != other[0]
    assert hash(one[0]) == hash(same[0])
    assert [value.effective_value for value in (*one[1], *same[1])] == [3, 4]


def test_a_result_read_by_position_compares_no_columns(database: Engine) -> None:
    """``_result_disable_adapt_to_context``: a column object of a second statement is no key to its result."""
    with database.connect() as connection:
        for options, knows in ((None, True), (internals.BY_POSITION, False)):
            first, second = select(Tree.id.label("a")), select(Tree.id.label("a"))
            connection.execute(first, execution_options=options).all()
            keys = connection.execute(second, execution_options=options)._metadata
            assert keys._has_key(next(iter(second.selected_columns))) is knows


def test_rows_can_be_had_as_the_driver_makes_them(database: Engine) -> None:
    """``CursorResult.cursor``."""
    with database.connect() as connection:
        result = connection.execute(select(literal(1), literal("a")))
        assert [tuple(row) for row in internals.driver_rows(result)] == [(1, "a")]
        assert result.closed


def test_every_name_of_the_module_is_tested_here() -> None:
    """A new dependency on something undocumented brings its test along."""
    functions = {
        name
        for name, value in vars(internals).items()
        if python_inspect.isfunction(value) and value.__module__ == internals.__name__ and not name.startswith("_")
    }
    source = python_inspect.getsource(python_inspect.getmodule(test_every_name_of_the_module_is_tested_here))  # type: ignore[arg-type]
    assert {name for name in functions if f"internals.{name}(" not in source} == set()
