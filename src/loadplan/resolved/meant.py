"""Makes hints for values of the wrong kind, which guess the intended value. Pure, and never raises."""

import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any
from uuid import UUID

from sqlalchemy import (
    URL,
    Boolean,
    BooleanClauseList,
    ClauseElement,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Engine,
    FromClause,
    Select,
    String,
    Table,
    TextClause,
    UnaryExpression,
    Uuid,
    func,
)
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapper,
    MapperProperty,
    QueryableAttribute,
    Session,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.orm.util import AliasedClass
from sqlalchemy.sql import operators

from loadplan.declared.code import is_relationship, source
from loadplan.declared.sources import Aggregate, KeepDefault, Source
from loadplan.declared.spec import Load, On, Plan
from loadplan.errors import shown
from loadplan.mapped import mapping
from loadplan.sqlalchemy_internals import AbstractLoad

#: The most relationships in a chain that a hint writes out.
_LONGEST_ROUTE = 3

#: The most digits of a number that a hint shows.
_LONGEST_NUMBER = 20


def safely(hint: Callable[..., str | None], *given: object) -> str | None:
    """Return a hint; None if making it raises an error."""
    try:
        return hint(*given)
    except Exception:
        return None


def described(given: object) -> str:
    """Return a description of a value for an error, in words that its author knows: ``"the table 'users'"``."""
    is_value = isinstance(given, ColumnElement)  # a function is both a value and a table
    if isinstance(given, AbstractLoad):
        return "a loader option of SQLAlchemy"
    if type(given) is MethodType and isinstance(given.__self__, ClauseElement | QueryableAttribute):
        return f"the method '{source(given.__self__)}.{given.__name__}'"
    if isinstance(given, QueryableAttribute):
        return f"'{source(given)}'"
    if isinstance(given, AliasedClass):
        return f"an alias of '{_class_behind(given)}'"
    if isinstance(given, Table):
        return f"the table '{given.name}'"
    if isinstance(given, Mapper):
        return f"the mapper of '{given.class_.__name__}'"
    if isinstance(given, MapperProperty):
        return f"the property of '{source(given.class_attribute)}'"
    if isinstance(given, type(func)):
        return "a function of SQLAlchemy that is not called"
    if isinstance(given, FromClause | Select) and not is_value:
        return "a select()" if isinstance(given, Select) else "a table of SQLAlchemy"
    if isinstance(given, TextClause):
        return f"text({given.text!r})"
    if isinstance(given, UnaryExpression) and is_named_order(given):
        return "an order by the text of a name"
    if isinstance(given, ClauseElement):
        return f"the SQL expression '{' '.join(str(given).split())}'"
    if isinstance(given, type):
        return f"the class '{given.__name__}'"
    if isinstance(given, Aggregate | Source | KeepDefault):
        return source(given)
    if isinstance(given, FunctionType):
        return "a lambda" if given.__name__ == "<lambda>" else f"the function '{given.__name__}'"
    if isinstance(given, list | tuple) and all(isinstance(each, QueryableAttribute) for each in given):
        return source(tuple(given))
    if type(given).__repr__ is object.__repr__:
        return f"an object of '{type(given).__name__}'"
    return shown(given)


def is_named_order(given: UnaryExpression[Any]) -> bool:
    """Tell whether an order names its column as text: ``desc("title")``."""
    element: Any = given
    while isinstance(element, UnaryExpression):
        element = element.element
    return getattr(element, "__visit_name__", "") == "textual_label_reference"


def has_direction(given: object) -> bool:
    """Tell whether an expression is an order with a direction, such as ``Post.id.desc()``, alone or within and_()."""
    what: Any = given
    if issubclass(type(what), BooleanClauseList):  # isinstance would read __class__ of the value, which may raise
        return any(map(has_direction, what.clauses))
    return issubclass(type(what), UnaryExpression) and what.modifier in _DIRECTIONS


def is_text(given: object) -> bool:
    """Tell whether a value is an attribute of text, a date or a UUID, which is not a condition in any database."""
    is_column = isinstance(given, QueryableAttribute) and not is_relationship(given)
    kind = getattr(given, "type", None) if is_column else None  # a comparator of the application may have no type
    return isinstance(kind, String | Date | DateTime | Uuid)


_DIRECTIONS = (operators.asc_op, operators.desc_op, operators.nulls_first_op, operators.nulls_last_op)


def _class_behind(given: Any) -> str:
    return str(mapping.mapper_behind(given).class_.__name__)


def route(mapper: Mapper[Any], to: Mapper[Any]) -> list[str]:
    """Return the shortest chain of relationships between two classes: ``["User.posts", "Post.tags"]``.

    It is empty if every chain is longer than a hint shows.
    """
    ways: list[tuple[Mapper[Any], list[str]]] = [(mapper, [])]
    for _ in range(_LONGEST_ROUTE):
        longer = []
        for here, names in ways:
            for prop in here.relationships:
                way = [*names, f"{prop.parent.class_.__name__}.{prop.key}"]
                if prop.mapper.isa(to):
                    return way
                longer.append((prop.mapper, way))
        ways = longer
    return []


def nested(names: Sequence[str], inside: str) -> str:
    """Return nested loads: ``load(User.posts, load(Post.comments))``."""
    for name in reversed(names):
        inside = f"load({name}, {inside})" if inside else f"load({name})"
    return inside


def instead_of_relationship(given: object) -> str:
    """Return the hint for a wrong value in ``load(...)``."""
    if isinstance(given, list | tuple | set | frozenset):
        return "write one load(...) for each relationship."
    if isinstance(given, MapperProperty):
        return f"pass the attribute of the class: load({source(given.class_attribute)})."
    if isinstance(given, Load):
        return "name a relationship first. A nested load(...) comes after it: load(User.posts, load(Post.tags))."
    if isinstance(given, Plan):
        name = getattr(given.entity, "__name__", "...")
        return f"name the relationship first, then the plan: load(Post.author, {name.upper()}_PLAN)."
    if isinstance(given, type) and mapping.mapper_of(given) is not None:
        return f"pass the relationship that leads to '{given.__name__}', for example load(User.posts)."
    return "pass an attribute of the class, for example load(User.posts)."


def instead_of_load(given: object) -> str:
    """Return the hint for a wrong value in place of ``load(...)``."""
    if isinstance(given, AbstractLoad):
        return _OPTION
    if is_relationship(given):
        return f"write load({source(given)})."
    if isinstance(given, QueryableAttribute):
        condition = f" As a condition, write where={source(given)}." if isinstance(given.type, Boolean) else ""
        return f"columns load by themselves. To load only some of them, write only=[{source(given)}].{condition}"
    if isinstance(given, str):
        or_load = f", or load({given!r}) to load a relationship" if given.isidentifier() else ""
        return f"write name={given!r} to name the plan{or_load}."
    if given is None or isinstance(given, bool):
        return "leave it out. If a load depends on a condition, collect the loads in a list and unpack it: *loads."
    if isinstance(given, list | tuple | set | frozenset):
        return "pass the loads one by one, without brackets. If you have a list, unpack it: *loads."
    if isinstance(given, Aggregate | Source):
        return f"annotate a field of a view class with it: Annotated[int, {source(given)}]."
    if isinstance(given, type) and mapping.mapper_of(given) is not None:
        return f"name the relationship that leads to '{given.__name__}', for example load(User.posts)."
    if isinstance(given, type):
        return f"if '{given.__name__}' is your view class, write into={given.__name__}."
    if isinstance(given, ClauseElement):
        return "conditions go into where=, orders into order_by=: load(User.posts, where=Post.published)."
    return "pass load(...), on(...) or a whole LoadPlan."


_OPTION = "write load(User.posts) and nest the loads below it. The plan chooses the loading strategy itself."


def instead_of_expression(word: str, given: object) -> str:
    """Return the hint for a wrong value in ``where=`` or ``order_by=``."""
    if isinstance(given, bool) and word == "where":
        return (
            "Python evaluated this, so the database never sees it. Write Post.title.is_(None) for 'is None', "
            "~(...) for 'not', Post.title.in_([...]) for 'in', & for 'and', | for 'or'."
        )
    if given is None:
        return f"remove None from {word}=. To leave out {word}=, pass None alone or nothing."
    if isinstance(given, str) and given.lower() in {"asc", "desc"}:
        return f"write the direction on the column: order_by=Post.created_at.{given.lower()}()."
    if isinstance(given, str):
        raw = " For raw SQL, use sqlalchemy.text(...)." if word == "where" else ""
        return f"{_EXAMPLES[word]}{raw}"
    if isinstance(given, Source) and word == "where":
        return f"write the condition with the relationship: where={asked(given.path)}."
    if isinstance(given, TextClause):
        return f"text(...) hides the direction from loadplan. {_capital(_EXAMPLES[word])}"
    if isinstance(given, dict) and word == "order_by":
        return "write one attribute for each name, for example order_by=[Post.created_at.desc(), Post.id]."
    if isinstance(given, dict):
        return "write one condition for each name, for example where=[Post.id == 3, Post.published]."
    if isinstance(given, Load | AbstractLoad):
        return "a plan says what to load: LoadPlan(User, load(User.posts))."
    if isinstance(given, Select):
        return "use the subquery in a condition: Post.id.in_(select(...)), or select(...).exists()."
    if type(given) is MethodType and isinstance(given.__self__, ClauseElement | QueryableAttribute):
        inside = "" if given.__name__ in {"asc", "desc", "nulls_first", "nulls_last"} else "..."
        return f"call it: {word}={source(given.__self__)}.{given.__name__}({inside})."
    if isinstance(given, type(func)):
        return "call it, for example func.lower(...)."
    if isinstance(given, Callable):  # type: ignore[arg-type]
        return f"pass the expression itself, not a function or a class. {_capital(_EXAMPLES[word])}"
    return _EXAMPLES[word]


def asked(path: Sequence[Any]) -> str:
    """Return the code of a path as a condition: ``Post.author.has(User.name == "x")``."""
    if len(path) < 2:
        return "Post.author.has(...)" if not path else source(path[0])
    word = "any" if getattr(getattr(path[0], "property", None), "uselist", False) else "has"
    return f"{source(path[0])}.{word}({asked(path[1:])})"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


_EXAMPLES = {
    "where": "write a condition with attributes of the class, for example where=Post.id > 3.",
    "order_by": "order by attributes of the class, for example order_by=Post.created_at.desc().",
}


def instead_of_class(given: object) -> str:
    """Return the hint for a wrong value in place of a mapped class."""
    if isinstance(given, QueryableAttribute):
        owner = given.class_.__name__
        inside = f"load({source(given)})" if is_relationship(given) else f"only=[{source(given)}]"
        return f"start with the class: LoadPlan({owner}, {inside})."
    if isinstance(given, AliasedClass):
        return f"pass the class itself: LoadPlan({_class_behind(given)})."
    if isinstance(given, Table):
        return f"pass the class that is mapped to '{given.name}'."
    if isinstance(given, Select):
        found = given.column_descriptions[0]["entity"]
        name = found.__name__ if isinstance(found, type) else "User"
        return f"pass the class itself: LoadPlan({name}). Conditions go into the fetch: fetch_all(plan, where=...)."
    if isinstance(given, str):
        return f"pass the class itself, without quotes: LoadPlan({given})."
    if isinstance(given, Plan):
        return "this is a plan already. To add to it, write plan.also(load(...))."
    if isinstance(given, Load) and isinstance(given.relationship, QueryableAttribute):
        owner = given.relationship.class_.__name__
        return f"pass the mapped class first, then the loads: LoadPlan({owner}, {given})."
    if isinstance(given, Load | On):
        return "pass the mapped class first, then the loads: LoadPlan(User, load(User.posts))."
    if isinstance(given, type) and type(given).__module__.startswith("sqlmodel"):
        return _table_model(given)
    if isinstance(given, type) and (issubclass(given, DeclarativeBase) or _is_base(given)):
        return f"'{given.__name__}' is a base of mapped classes. Pass one of these classes, which has a table."
    if isinstance(given, Mapper):
        return f"pass the class itself: LoadPlan({given.class_.__name__})."
    if isinstance(given, list | tuple | set | frozenset) and any(mapping.mapper_of(each) is not None for each in given):
        name = next(each.__name__ for each in given if mapping.mapper_of(each) is not None)
        return f"pass one class, without brackets: LoadPlan({name})."
    if isinstance(given, type) and given.__module__ != "builtins":
        return f"pass a mapped class first. If '{given.__name__}' is your view class, write into={given.__name__}."
    if mapping.mapper_of(type(given)) is not None:
        return f"pass the class, not an object of it: LoadPlan({type(given).__name__})."
    return "pass a mapped class first, for example LoadPlan(User)."


def _table_model(given: type[Any]) -> str:
    """Return the hint for a class of SQLModel that is not mapped."""
    name = given.__name__
    above = next((each.__name__ for each in given.__mro__[1:] if mapping.mapper_of(each) is not None), None)
    if above is None:
        return f"add table=True: class {name}(SQLModel, table=True)."
    return (
        f"SQLModel maps no subclass of '{above}', with or without table=True. Map '{name}' by hand: "
        f"registry.map_imperatively({name}, table, inherits={above})."
    )


def _is_base(given: type[Any]) -> bool:
    """Tell whether a class looks like what ``declarative_base()`` returns."""
    return hasattr(given, "registry") and hasattr(given, "metadata")


def instead_of_plan(given: object) -> str:
    """Return the hint for a wrong value in place of a plan."""
    if isinstance(given, type) and mapping.mapper_of(given) is not None:
        return f"make a plan of the class: LoadPlan({given.__name__})."
    if isinstance(given, Select):
        return "declare what to load in a LoadPlan. Conditions go into the fetch: fetch_all(plan, where=...)."
    if isinstance(given, Load):
        return "put the load into a plan: LoadPlan(User, load(User.posts))."
    if isinstance(given, list | tuple | set | frozenset) and any(isinstance(each, Plan) for each in given):
        return "pass one plan, without brackets. loader.check takes several: check(*plans)."
    if isinstance(given, str):
        return "pass the plan itself, not a name. The id is the second argument: fetch(plan, id)."
    if mapping.mapper_of(type(given)) is not None:
        return "pass a plan. To load more onto an object, write extend(object, load(...))."
    if isinstance(given, int | UUID | tuple):
        return f"the plan is the first argument, and the id is the second: fetch(plan, {shown(given)})."
    if isinstance(given, QueryableAttribute):
        return f"make a plan of the class: LoadPlan({given.class_.__name__})."
    return "make a plan, for example LoadPlan(User, load(User.posts))."


def instead_of_bind(given: object, loader: str) -> str | None:
    """Return the hint for a wrong bind of a loader; None if the value does not show the intended bind.

    Args:
        given: the value in place of a bind.
        loader: ``"Loader"`` or ``"SyncLoader"``.
    """
    make = "create_async_engine" if loader == "Loader" else "create_engine"
    if isinstance(given, Plan):
        return f"give the plan to the fetch: {loader}(engine).fetch(plan, id)."
    if type(given).__module__.startswith("loadplan."):
        return "pass the engine or the session, not an object of loadplan."
    if isinstance(given, type) and issubclass(given, (*_ENGINES, *_CONNECTIONS, *_SESSIONS)):
        made = {**dict.fromkeys(_ENGINES, f"{make}(url)"), **dict.fromkeys(_CONNECTIONS, "engine.connect()")}
        return f"pass an object, not the class, for example {made.get(given, f'{given.__name__}(engine)')}."
    if isinstance(given, str | URL):
        return f"make an engine of the URL: {loader}({make}(url))."
    if isinstance(given, async_scoped_session):
        return "call it, which returns the AsyncSession of this scope: Loader(scoped())."
    if isinstance(given, scoped_session):
        return "call it, which returns the Session of this scope: SyncLoader(scoped())."
    if inspect.isawaitable(given):
        return f"await it first: {loader}(await ...)."
    inner: Any = inspect.unwrap(given) if callable(given) else given
    yields = (inspect.isgenerator, inspect.isasyncgen, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(asked(inner) for asked in yields):
        return f"take the session that it yields, and pass it: {loader}(session)."
    for name, word in (("__aenter__", "async with"), ("__enter__", "with")):
        if hasattr(type(given), name):
            return f"enter it, and pass the value: {word} ... as connection: {loader}(connection)."
    return "call it, and pass what it returns." if callable(given) and not isinstance(given, type) else None


def around_bind(given: object, loader: str) -> str | None:
    """Return the hint for the synchronous part of an asyncio engine or session; None for any other value."""
    if loader == "Loader" and isinstance(given, Engine) and given.dialect.is_async:
        return "pass the AsyncEngine itself, not its sync_engine: Loader(engine)."
    bind = given.bind if isinstance(given, Session) else None
    if loader == "Loader" and bind is not None and bind.dialect.is_async:
        return "pass the AsyncSession itself, not its sync_session: Loader(session)."
    return None


_ENGINES = (AsyncEngine, Engine)
_CONNECTIONS = (AsyncConnection, Connection)
_SESSIONS = (AsyncSession, Session, async_sessionmaker, sessionmaker)


def instead_of_id(given: object, entity: str, kinds: Sequence[str]) -> str | None:
    """Return the hint for a wrong value in place of an id; None if the error needs no hint besides its type."""
    if isinstance(given, ClauseElement):
        return (
            "this is a condition. Use fetch_one(plan, ...) or fetch_one_or_none(plan, ...) for one row, or "
            "fetch_all(plan, ...) for many."
        )
    if isinstance(given, list | set | frozenset):
        return "for many ids, use fetch_many(plan, ids)."
    if isinstance(given, str) and list(kinds) == ["int"] and given.isdecimal() and len(given) < _LONGEST_NUMBER:
        return f"convert the text first: int({given!r})."
    if mapping.mapper_of(type(given)) is not None and type(given).__name__ == entity:
        return "pass the id of the object, not the object."
    return None
