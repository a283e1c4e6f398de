"""Relationships that loadplan cannot load: LP205."""

from typing import Any

from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan.errors import Problem
from loadplan.mapped import links

At = tuple[str, ...]


def problems_of(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At) -> list[Problem]:
    """Return the reasons why neither entities nor views can load a relationship."""
    checks = (
        (links.asks_parent_further, asks_parent_further),
        (links.leads_to_second_mapper, leads_to_second_mapper),
    )
    return [problem(mapper, prop, at) for is_unfit, problem in checks if is_unfit(prop)]


def lazy_query(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of an entity's relationship that is mapped ``lazy="dynamic"`` or ``lazy="write_only"``."""
    detail = f'it is mapped lazy="{prop.lazy}", which does not support object population.'
    return _problem(mapper, prop, at, detail, 'map it lazy="raise", or leave it out of the plan.')


def asks_parent_further(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of a relationship whose ``secondaryjoin`` uses columns of the parent."""
    uses = f"its secondaryjoin uses columns of '{_class_name(prop.parent)}'"
    target = f"'{_class_name(prop.mapper)}'"
    hint = f"move the condition into primaryjoin, with a join as secondary= if it needs columns of {target}."
    return _problem(mapper, prop, at, f"{uses}; SQLAlchemy's joins and lazy loads read that differently.", hint)


def leads_to_second_mapper(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of a relationship to a mapper with ``non_primary=True``."""
    target = _class_name(prop.mapper)
    detail = f"it leads to a mapper of '{target}' with non_primary=True, which SQLAlchemy 2.1 does not have."
    return _problem(mapper, prop, at, detail, f"map it to aliased({target}, ...) of the same table or alias.")


def _class_name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


def _problem(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At, detail: str, hint: str) -> Problem:
    name = f"{_class_name(mapper)}.{prop.key}"
    return Problem("LP205", f"'{name}' cannot be eagerly loaded", (*at, prop.key), detail=detail, hint=hint)
