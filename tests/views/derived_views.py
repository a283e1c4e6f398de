"""View classes made of a plan of entities, so that every plan of the other tests is a plan of views as well."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from loadplan import Load, LoadPlan, On

_numbers = itertools.count(1)


def view_plan(plan: LoadPlan[Any]) -> LoadPlan[Any]:
    """Return the plan that reads what ``plan`` loads into classes of attrs."""
    view, loads = _view(inspect(plan.entity), plan.loads)
    return LoadPlan(plan.entity, *loads, into=view, name=plan.name)


def _view(mapper: Mapper[Any], loads: Iterable[Any]) -> tuple[type[Any], list[Load[Any]]]:
    """Return a class with a field for every column and relationship of a place, and the loads beside it."""
    fields: dict[str, Any] = {key: attrs.field(type=Any, alias=key) for key in column_names(mapper)}
    beside: list[Load[Any]] = []
    waiting = list(loads)
    for item in waiting:
        if isinstance(item, LoadPlan):
            waiting += item.loads
            continue
        assert not isinstance(item, On), "a union of views is made by hand"
        prop = mapper.relationships[_key(item)]
        below, nested = _view(prop.mapper, item.loads)
        fields[prop.key] = attrs.field(type=_annotation(prop, below), alias=prop.key)
        asked = item.strategy if item.strategy in {"joined", "selectin"} else None
        beside.append(attrs.evolve(item, loads=tuple(nested), only=None, defer=None, strategy=asked))
    return attrs.make_class(f"View{next(_numbers)}", fields, frozen=True, eq=False), beside


def _annotation(prop: Any, below: type[Any]) -> Any:
    if not prop.uselist:
        return below | None
    collection = prop.collection_class() if prop.collection_class is not None else []
    return dict[Any, below] if isinstance(collection, dict) else list[below]


def _key(item: Load[Any]) -> str:
    return item.relationship if isinstance(item.relationship, str) else item.relationship.key


def column_names(mapper: Mapper[Any]) -> list[str]:
    """Return the columns that a plan without ``only=`` loads."""
    found = []
    for prop in mapper.column_attrs:
        flags = dict(prop.strategy_key)
        if not prop.deferred and flags.get("instrument", True) and "query_expression" not in flags:
            found.append(prop.key)
    return found


def read_views(views: Iterable[Any], plan: LoadPlan[Any]) -> list[Any]:
    """Return views as plain values, in the form that the oracle gives entities."""
    return [_read(view, inspect(plan.entity), plan.loads) for view in views]


def _read(view: Any, mapper: Mapper[Any], loads: Sequence[Any]) -> dict[str, Any]:
    values = {key: getattr(view, key) for key in column_names(mapper)}
    waiting = list(loads)
    for item in waiting:
        if isinstance(item, LoadPlan):
            waiting += item.loads
            continue
        prop = mapper.relationships[_key(item)]
        values[prop.key] = _read_value(getattr(view, prop.key), prop, item.loads)
    return values


def _read_value(value: Any, prop: Any, loads: Sequence[Any]) -> Any:
    if value is None:
        return None
    if not prop.uselist:
        return _read(value, prop.mapper, loads)
    if isinstance(value, Mapping):
        return {key: _read(child, prop.mapper, loads) for key, child in value.items()}
    children = [_read(child, prop.mapper, loads) for child in value]
    return children if prop.order_by else sorted(children, key=repr)


def without_classes(value: Any, *, ordered: bool = True) -> Any:
    """Return what the oracle read of entities without the names of their classes, and in the order of views."""
    if isinstance(value, dict):
        return {key: without_classes(each) for key, each in value.items() if key != "class"}
    return [without_classes(each) for each in value] if isinstance(value, list) else value
