"""Hints for a call of a loader with arguments that it does not have. Python's own message has none."""

import functools
import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.called import is_refused_here
from loadplan.declared.code import is_relationship
from loadplan.declared.spec import Load, Plan
from loadplan.sqlalchemy_internals import AbstractLoad

C = TypeVar("C", bound=type[Any])

_PAGE = "A page starts behind another one: pass after=page.next. To skip by number, write fetch_all(plan, offset=...)."
_PLAN = "A plan says what to load: LoadPlan(User, load(User.posts))."

#: Names that other libraries use, and the names here. The call takes the first one that it has.
_SAME: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("filter", "filters", "filter_by", "condition", "conditions", "criteria"), ("where",)),
    **dict.fromkeys(("order", "sort", "sort_by", "ordering", "orderby"), ("order_by",)),
    **dict.fromkeys(("size", "page_size", "per_page", "first", "take", "limit"), ("size", "limit", "batch_size")),
    **dict.fromkeys(("chunk_size", "chunksize", "yield_per"), ("batch_size",)),
    **dict.fromkeys(("skip", "start"), ("offset",)),
    **dict.fromkeys(("cursor", "next"), ("after",)),
    **dict.fromkeys(("previous", "prev"), ("before",)),
    **dict.fromkeys(("param", "parameters", "values", "bindparams"), ("params",)),
    **dict.fromkeys(("with_for_update", "lock"), ("for_update",)),
    **dict.fromkeys(("pk", "key", "ident", "primary_key", "entity_id"), ("id", "ids")),
    **dict.fromkeys(("populate_existing",), ("refresh",)),
}

#: Hints for arguments that the call does not have under another name.
_OTHERWISE = {
    **dict.fromkeys(("options", "load", "loads", "include", "joinedload", "selectinload", "prefetch_related"), _PLAN),
    **dict.fromkeys(
        ("only", "defer", "columns", "select", "fields"), "A plan chooses columns: LoadPlan(User, only=[...])."
    ),
    **dict.fromkeys(("session", "engine", "connection", "db"), "Give it to the loader: Loader(session)."),
    **dict.fromkeys(
        ("where", "filter", "filter_by", "condition"),
        "This call takes a primary key. To choose by a condition, write fetch_one(plan, where=...).",
    ),
}

#: The same for calls with an order.
_OF_ORDER = dict.fromkeys(
    ("desc", "asc", "descending", "ascending", "reverse", "direction", "order_dir"),
    "Write the direction on the column: order_by=User.name.desc().",
)

_MANY = "For several ids, write fetch_many(plan, ids)."

#: The same for one call alone.
_OF_CALL: dict[str, dict[str, str]] = {
    "fetch": {"ids": _MANY},
    "fetch_or_none": {"ids": _MANY},
    "fetch_many": dict.fromkeys(
        ("skip", "skip_missing", "ignore_missing", "strict"), 'Write missing="skip" to leave out ids without a row.'
    ),
    "fetch_page": dict.fromkeys(("offset", "page", "page_number", "skip"), _PAGE),
    "fetch_all": dict.fromkeys(("page", "page_number"), "Write fetch_page(plan, size=..., after=...)."),
    "__init__": dict.fromkeys(
        ("engine", "session", "connection", "sessionmaker", "db"), "Pass it first, without a name: Loader(engine)."
    ),
    "extend": dict.fromkeys(("options", "load", "loads"), "Write extend(objects, load(User.posts))."),
}

#: Arguments of ``Loader`` itself. They hold for all its calls.
_OF_LOADER = ("snapshot", "max_rows", "cursor_key", "on_fetch")

#: Hints for calls in which an argument is missing or superfluous.
_NEEDS = {
    "fetch": "Write fetch(plan, id). For a condition, write fetch_one(plan, where=...).",
    "fetch_or_none": "Write fetch_or_none(plan, id). For a condition, write fetch_one_or_none(plan, where=...).",
    "fetch_many": "Write fetch_many(plan, [1, 2]), with the ids in a list.",
    "fetch_one": "Write fetch_one(plan, where=...). To choose by primary key, write fetch(plan, id).",
    "fetch_page": "Write fetch_page(plan, order_by, size, where=[...]), with all conditions in one list.",
    "count": "Write count(plan, [...]), with all conditions in one list.",
    "exists": "Write exists(plan, [...]), with all conditions in one list.",
    "explain": "Write explain(plan): it runs nothing, so it takes no id.",
    "__init__": "Write Loader(engine), or Loader(session).",
    "batched": "Write batched(max_batch=100).",
}

#: The names that Django gives to comparisons, and the code of SQLAlchemy.
_LOOKUPS = {
    "gt": " > ...",
    "gte": " >= ...",
    "lt": " < ...",
    "lte": " <= ...",
    "exact": " == ...",
    "in": ".in_(...)",
    "isnull": ".is_(None)",
}


def with_call_hints(made: C) -> C:
    """Let the calls of a class say what to write instead of an argument that they do not have.

    Each call is wrapped, and its signature stays. The wrapper looks at nothing unless Python refuses the arguments.
    """
    for name, method in list(vars(made).items()):
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(made, name, _hinting(method))
    return made


def _hinting(method: Callable[..., Any]) -> Callable[..., Any]:
    def begin(args: Sequence[Any], given: dict[str, Any]) -> Any:
        try:
            return method(*args, **given)
        except TypeError as error:
            if not is_refused_here(error):
                raise
            raise TypeError(_said(method, args, given, error)) from None

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def waited(*args: Any, **given: Any) -> Any:
            return await begin(args, given)

        return waited

    @functools.wraps(method)
    def called(*args: Any, **given: Any) -> Any:
        return begin(args, given)

    return called


def _said(method: Callable[..., Any], args: Sequence[Any], given: dict[str, Any], error: TypeError) -> str:
    name = method.__name__
    loader = type(args[0]).__name__ if args else "Loader"
    call = loader if name == "__init__" else name
    known = [each for each in inspect.signature(method).parameters if each != "self"]
    unknown = next((each for each in given if each not in known), None)
    if unknown is not None:
        hint = _of_loader(unknown, given[unknown]) if name != "__init__" and unknown in _OF_LOADER else None
        hint = hint or _instead(unknown, name, known, _entity(args, given))
        said = f"{call}() has no argument '{unknown}'. {hint}"
    else:
        words, arguments = str(error).removeprefix(f"{method.__qualname__}() "), ", ".join(known)
        said = f"{call}() {words}. {_of_last(args, known) or _NEEDS.get(name, f'Arguments: {arguments}.')}"
    return said.replace(" Loader(", " SyncLoader(") if loader == "SyncLoader" else said


def _of_loader(name: str, value: object) -> str:
    """Return the hint for an argument of ``Loader`` in one of its calls."""
    shown = repr(value) if value is None or type(value) in {int, bool} else "..."
    return f"It belongs to the loader: Loader(engine, {name}={shown})."


def _entity(args: Sequence[Any], given: dict[str, Any]) -> Any:
    """Return the mapped class of the plan in a call; None if there is no plan."""
    plan: Any = args[1] if len(args) > 1 else given.get("plan")
    if issubclass(type(plan), Plan):
        return plan.entity
    return plan if issubclass(type(plan), type) else None  # reading a name of another value may raise any error


def _of_last(args: Sequence[Any], known: Sequence[str]) -> str | None:
    """Return the hint for the last value that a call got without a name, if it is one value too many."""
    kind = type(args[-1]) if len(args) > 2 else None
    if kind is None:
        return None
    if issubclass(kind, Load | AbstractLoad):
        return _PLAN
    return "Write params={...} for the parameters of the plan." if kind is dict and "params" in known else None


def _instead(name: str, call: str, known: Sequence[str], entity: Any) -> str:
    if name in _OF_CALL.get(call, {}):
        return _OF_CALL[call][name]
    if "order_by" in known and name in _OF_ORDER:
        return _OF_ORDER[name]
    same = next((each for each in _SAME.get(name, ()) if each in known), None)
    if same is not None:
        return f"Write {same}=."
    condition = _condition(name, entity) if "where" in known else None
    if condition is not None:
        return f"Arguments: {', '.join(known)}. To choose by {condition}"
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    near = get_close_matches(name, known, n=1)
    if near:
        return f"Did you mean {near[0]}=?"
    if "id" in known and name.endswith("_id"):
        return f"Pass it as the id: {call}(plan, id)."
    parameter = f" For a parameter of the plan, write params={{{name!r}: ...}}." if "params" in known else ""
    return f"Arguments: {', '.join(known)}.{parameter}"


def _condition(name: str, entity: Any) -> str | None:
    """Return the words and the code of a condition for ``name="Ada"`` or ``name__icontains="a"``.

    The result is None if the class has no attribute of this name.
    """
    first, _, lookup = name.partition("__")
    attribute = getattr(entity, first, None)
    if not isinstance(attribute, QueryableAttribute):
        return None
    what = f"{attribute.class_.__name__}.{first}"
    if is_relationship(attribute):
        asked = "any" if attribute.property.uselist else "has"
        return f"related rows, write a condition: where={what}.{asked}(...)"
    end = _LOOKUPS.get(lookup) or (f".{lookup}(...)" if lookup and hasattr(attribute, lookup) else " == ...")
    return f"a column, write a condition: where={what}{end}"
