"""Lists every statement that a plan can send: by id, by ids, as a list, and the statements below."""

import re
from collections.abc import Iterator
from typing import Any

import attrs
from sqlalchemy import BindParameter, Dialect, Select, types

from loadplan.explained.explanation import named_statements
from loadplan.plan import LoadPlan
from loadplan.resolved.strategy import STEPS
from loadplan.running.keyed_roots import by_id, by_ids
from loadplan.running.plans import Compiled, compile_plan

#: An expanding parameter of SQLAlchemy, before its list of values is known.
_LIST = re.compile(r"__\[POSTCOMPILE_([^\]~]+)(?:~~.*?~~)?\]")


@attrs.frozen(eq=False)
class PlanStatement:
    """One statement of a plan.

    Attributes:
        edge: the edge that it loads; the name of the entity for the roots.
        use: the call that sends it: ``"by id"``, ``"by ids"`` or ``"as a list"``.
        text: the SQL, with the dialect's own marks for parameters.
        names: the parameters in the order of their marks, if the dialect has positional parameters.
        parameters: the parameters by name.
    """

    edge: str
    use: str
    text: str
    names: tuple[str, ...]
    parameters: dict[str, BindParameter[Any]]


def compiled_uses(plan: LoadPlan[Any], dialect: Dialect) -> Iterator[tuple[str, Compiled[Any]]]:
    """Yield (use, compiled plan) for each call whose statements may differ.

    Raises:
        PlanError: the plan does not resolve.
    """
    compiled = compile_plan(plan, dialect)
    yield "by id", by_id(compiled.bringing(1)).graph
    for number in STEPS[1:]:
        yield "by ids", by_ids(compiled.bringing(number)).graph
        yield "as a list", compiled.bringing(number)
    yield "as a list", compiled.countable


def plan_statements(plan: LoadPlan[Any], dialect: Dialect) -> list[PlanStatement]:
    """Return every statement that a plan can send to a kind of database, each once. Pure.

    Conditions, orders and limits that come with a call (``fetch_all``, ``fetch_page``) are not part of the plan, so
    these statements do not have them.

    Raises:
        PlanError: the plan does not resolve.
    """
    found: dict[str, PlanStatement] = {}
    for use, compiled in compiled_uses(plan, dialect):
        for edge, select in named_statements(compiled):
            statement = _statement(edge, use, select, dialect)
            found.setdefault(statement.text, statement)
    return list(found.values())


def _statement(edge: str, use: str, select: Select[Any], dialect: Dialect) -> PlanStatement:
    compiled: Any = select.compile(dialect=dialect)
    parameters: dict[str, BindParameter[Any]] = dict(compiled.binds)
    lists = {name: each for name, each in parameters.items() if each.expanding or each.literal_execute}
    text = _LIST.sub(lambda match: _nulls(lists.get(match[1]), dialect), str(compiled))
    names = tuple(name for name in compiled.positiontup or () if name not in lists)
    return PlanStatement(edge, use, text, names, {name: each for name, each in parameters.items() if name not in lists})


def _nulls(parameter: BindParameter[Any] | None, dialect: Dialect) -> str:
    """Return the text that replaces a list of values: one NULL, with a cast if the database needs its type."""
    if parameter is None:
        return "NULL"
    if isinstance(parameter.type, types.TupleType):
        return f"({', '.join(_null(each, dialect) for each in parameter.type.types)})"
    return _null(parameter.type, dialect)


def _null(kind: types.TypeEngine[Any], dialect: Dialect) -> str:
    if dialect.name != "postgresql" or isinstance(kind, types.NullType):
        return "NULL"
    return f"CAST(NULL AS {kind.compile(dialect=dialect)})"
