"""What sessions, connections and statements are asked that only undocumented names answer."""

import inspect as python_inspect
from collections import deque
from typing import Any

import pytest
from forest import Tree
from sqlalchemy import Connection, StaticPool, create_engine, event, inspect, literal, select, union_all
from sqlalchemy.engine import Engine
from sqlalchemy.engine.cursor import BufferedRowCursorFetchStrategy
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.util import identity_key

from loadplan import sqlalchemy_internals as internals


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


def test_a_session_is_flushing_in_its_listeners_of_the_flush(database: Engine) -> None:
    """``Session._flushing``."""
    seen: list[bool] = []

    def listener(session: Session, *_: Any) -> None:
        seen.append(internals.is_flushing(session))

    with Session(database) as session:
        for moment in ("before_flush", "after_flush", "after_flush_postexec"):
            event.listen(session, moment, listener)
        session.add(Tree(id=1_000))
        assert not internals.is_flushing(session)
        session.flush()
        assert not internals.is_flushing(session)
    assert seen == [True, True, True]


def test_the_isolation_of_an_engine_is_known() -> None:
    """Chosen for the engine, or at create_engine, which a private name of the dialect keeps."""
    plain = create_engine("sqlite://")
    assert internals.chosen_isolation(plain.execution_options(isolation_level="SERIALIZABLE")) == "SERIALIZABLE"
    uncommitted = create_engine("sqlite://", isolation_level="READ UNCOMMITTED")
    assert internals.chosen_isolation(uncommitted) == "READ UNCOMMITTED"
    assert internals.chosen_isolation(plain) != "READ UNCOMMITTED"


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
    """``CursorResult.cursor`` and ``CursorResult.cursor_strategy``."""
    with database.connect() as connection:
        result = connection.execute(select(literal(1), literal("a")))
        assert [tuple(row) for row in internals.driver_rows(result)] == [(1, "a")]
        assert result.closed


def test_rows_that_sqlalchemy_has_taken_from_the_cursor_are_not_lost(database: Engine) -> None:
    with database.connect() as connection:
        result = connection.execute(union_all(*(select(literal(number).label("n")) for number in range(5))))
        taken = [result.cursor.fetchone() for _ in range(2)]  # type: ignore[union-attr]
        result.cursor_strategy = BufferedRowCursorFetchStrategy(result.cursor, {}, initial_buffer=deque(taken))
        assert [row[0] for row in internals.driver_rows(result)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "name",
    [
        "do_orm_execute",
        "after_transaction_create",
        "after_transaction_end",
        "after_begin",
        "after_rollback",
        "after_soft_rollback",
        "loaded_as_persistent",
        "persistent_to_detached",
    ],
)
def test_listeners_of_all_sessions_are_seen(name: str) -> None:
    """A session that was made before anybody listened knows of it: its dispatcher asks that of the class."""

    def listener(*_: Any, **__: Any) -> None:
        """Listen, and do nothing."""

    assert not internals.is_session_heard()
    event.listen(Session, name, listener)
    try:
        assert internals.is_session_heard()
    finally:
        event.remove(Session, name, listener)
    assert not internals.is_session_heard()


def test_listeners_of_an_engine_alone_are_seen(database: Engine) -> None:
    assert not internals.has_engine_hooks(database)
    event.listen(database, "begin", lambda connection: None)
    assert internals.has_engine_hooks(database)


@pytest.mark.parametrize("name", ["before_execute", "after_execute"])
@pytest.mark.parametrize("on_engine", [True, False])
def test_a_connection_whose_statements_somebody_hears_takes_no_text(
    database: Engine, name: str, on_engine: bool
) -> None:
    """``Connection.dispatch`` has what was listened to on the engine, too."""

    def listener(*_: Any, **__: Any) -> None:
        """Listen, and do nothing."""

    with database.connect() as connection:
        assert internals.takes_text(connection)
        event.listen(database if on_engine else connection, name, listener)
        assert not internals.takes_text(connection)
    with database.connect() as connection:
        assert internals.takes_text(connection) is not on_engine


def test_a_connection_that_translates_schemas_takes_no_text(database: Engine) -> None:
    with database.connect().execution_options(schema_translate_map={None: "main"}) as connection:
        assert not internals.takes_text(connection)


async def test_work_waits_for_the_driver_in_a_greenlet() -> None:
    """``greenlet_spawn`` does what ``run_sync`` does, for a plain connection."""
    engine = create_async_engine("sqlite+aiosqlite://")

    def work() -> int:
        with engine.sync_engine.connect() as connection:
            found: int = connection.execute(select(literal(3))).scalar_one()
            return found

    assert await internals.in_greenlet(work) == 3
    await engine.dispose()


def test_a_connection_that_somebody_ever_heard_is_not_silent(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """``_has_events`` of connection, engine and dialect, for every event that a statement may bring about."""
    dialects = type(create_engine("sqlite://").dialect).__mro__
    for kind in (Engine, Connection, *dialects):  # that somebody once listened to all engines, SQLAlchemy never forgets
        if "_has_events" in vars(kind):
            monkeypatch.setattr(kind, "_has_events", False)
    for name in ("before_cursor_execute", "after_cursor_execute", "begin", "rollback", "do_execute", "handle_error"):
        engine = create_engine("sqlite://", poolclass=StaticPool)
        with engine.connect() as connection:
            assert internals.is_silent(connection), name
        event.listen(engine, name, lambda *_, **__: None)
        with engine.connect() as connection:
            assert not internals.is_silent(connection), name
        engine.dispose()
    with database.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *_, **__: None)
        assert not internals.is_silent(connection)


def test_a_connection_that_logs_is_not_silent() -> None:
    """``Connection._echo``."""
    engine = create_engine("sqlite://", echo=True)
    with engine.connect() as connection:
        assert not internals.is_silent(connection)


def test_rows_of_a_text_come_through_the_cursor(database: Engine) -> None:
    with database.connect() as connection:
        assert [tuple(row) for row in internals.rows_of_text(connection, "SELECT ?, 2", (1,))] == [(1, 2)]


def test_what_a_cursor_raises_becomes_sqlalchemys_error(database: Engine) -> None:
    """``Connection._handle_dbapi_exception``: with the text; what is no error of the driver comes out as it is."""
    with database.connect() as connection:
        with pytest.raises(OperationalError, match="no such table") as caught:
            internals.rows_of_text(connection, "SELECT * FROM nowhere", ())
        assert caught.value.statement == "SELECT * FROM nowhere"
        with pytest.raises(TypeError):
            internals.rows_of_text(connection, 1, ())  # type: ignore[arg-type]
        assert internals.rows_of_text(connection, "SELECT 1", ()) == [(1,)]


@pytest.mark.parametrize("end", ["close", "invalidate"])
def test_a_closed_session_is_told_from_a_new_one_and_from_one_that_is_used_again(database: Engine, end: str) -> None:
    """``vars(session)["close"]``: SQLAlchemy has no event for ``close()`` and ``invalidate()``."""
    session = Session(database)
    assert not internals.is_closed(session)
    session.scalar(select(literal(1)))
    getattr(session, end)()
    assert internals.is_closed(session)
    assert not session.in_transaction()
    session.scalar(select(literal(1)))
    assert not internals.is_closed(session)
    session.close()
    assert internals.is_closed(session)


def test_a_sharded_session_knows_its_shards_by_name(database: Engine) -> None:
    """``_ShardedSession__shards``: the public API adds a shard and never lists them."""
    choosers: Any = dict.fromkeys(("shard_chooser", "identity_chooser", "execute_chooser"), lambda *_, **__: "two")
    session = ShardedSession(shards={"two": database, "one": database}, **choosers)
    session.bind_shard("three", database)
    assert internals.shard_names(session) == ["two", "one", "three"]
    session.close()


def test_an_instance_with_the_name_of_a_shard_is_that_of_the_sharded_session(database: Engine) -> None:
    """The third part of an identity and ``identity_token``: without them the session cannot tell where to write."""
    choosers: Any = {"shard_chooser": lambda *_, **__: "two", "identity_chooser": lambda *_, **__: ["two"]}
    shards = {"one": database, "two": database}
    with ShardedSession(shards=shards, execute_chooser=lambda _: ["two"], **choosers) as session:
        loaded = session.scalars(select(Tree)).first()
        assert loaded is not None
        tree = Tree()
        identity = identity_key(instance=loaded)
        internals.instance_state(tree).key = (*identity[:2], None)
        internals.name_shard(tree, "two")
        assert inspect(tree).key == inspect(loaded).key
        assert inspect(tree).identity_token == inspect(loaded).identity_token


@pytest.mark.parametrize("name", ["do_orm_execute", "after_begin", "loaded_as_persistent", "persistent_to_detached"])
def test_listeners_of_a_sessionmaker_are_seen(database: Engine, name: str) -> None:
    """``_ClsLevelDispatch._clslevel``: by the class that each sessionmaker makes for itself."""

    def listener(*_: Any, **__: Any) -> None:
        """Listen, and do nothing."""

    heard, other = sessionmaker(database), sessionmaker(database)
    assert not internals.is_session_class_heard(heard.class_)
    event.listen(heard, name, listener)
    assert internals.is_session_class_heard(heard.class_)
    assert not internals.is_session_class_heard(other.class_)
    assert internals.is_session_heard(heard())
    assert not internals.is_session_heard(other())
    event.listen(Session, name, listener)
    try:
        assert internals.is_session_class_heard(other.class_)
        assert internals.is_session_heard(other())
    finally:
        event.remove(Session, name, listener)
    assert not internals.is_session_class_heard(other.class_)
    single = other()
    event.listen(single, name, listener)
    assert internals.is_session_heard(single)


def test_a_class_that_adds_nothing_is_told_from_one_that_may() -> None:
    class Empty(Session):
        """Nothing but words."""

    class Routing(Session):
        def get_bind(self, *args: Any, **kw: Any) -> Any:
            return super().get_bind(*args, **kw)

    class BelowRouting(Routing):
        pass

    assert internals.adds_nothing(Session, Session)
    assert internals.adds_nothing(sessionmaker().class_, Session)
    assert internals.adds_nothing(sessionmaker(class_=Empty).class_, Session)
    assert not internals.adds_nothing(Routing, Session)
    assert not internals.adds_nothing(sessionmaker(class_=BelowRouting).class_, Session)


def test_a_session_with_classes_in_several_databases_is_known(database: Engine) -> None:
    """``Session.binds`` since 2.1, ``_Session__binds`` before."""
    assert not internals.has_binds(Session(database))
    assert internals.has_binds(Session(binds={Tree: database}))
    late = Session(database)
    late.bind_mapper(Tree, database)
    assert internals.has_binds(late)
    assert internals.tables_in_binds(late) == {Tree: database, Tree.__table__: database}
    assert internals.tables_in_binds(Session(database)) == {}


def test_a_transaction_that_is_over_is_known(database: Engine) -> None:
    with database.connect() as connection:
        assert not internals.is_in_plain_transaction(connection)
        outer = connection.begin()
        assert internals.is_in_plain_transaction(connection)
        inner = connection.begin_nested()
        assert internals.is_in_plain_transaction(connection)
        inner.rollback()
        assert internals.is_in_plain_transaction(connection)
        outer.rollback()
        assert not internals.is_in_plain_transaction(connection)
    with database.begin() as connection:  # which may be used as long as the block lasts
        assert not internals.is_in_plain_transaction(connection)
