"""Hints for a call of a loader with arguments that it does not have. Python's own message has none."""

import functools
import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

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
    **dict.fromkeys(("options", "load", "loads", "include", "joinedload", "selectinload"), _PLAN),
    **dict.fromkeys(("session", "engine", "connection", "db"), "Give it to the loader: Loader(session)."),
    **dict.fromkeys(
        ("where", "filter", "filter_by", "condition"),
        "This call takes a primary key. To choose by a condition, write fetch_one(plan, where=...).",
    ),
}

#: The same for one call alone.
_OF_CALL: dict[str, dict[str, str]] = {
    "fetch_page": dict.fromkeys(("offset", "page", "page_number", "skip"), _PAGE),
    "fetch_all": dict.fromkeys(("page", "page_number"), "Write fetch_page(plan, size=..., after=...)."),
    "__init__": dict.fromkeys(
        ("engine", "session", "connection", "sessionmaker", "db"), "Pass it first, without a name: Loader(engine)."
    ),
    "extend": dict.fromkeys(("options", "load", "loads"), "Write extend(objects, load(User.posts))."),
}

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
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # it comes from inside the call
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
    call = type(args[0]).__name__ if method.__name__ == "__init__" and args else method.__name__
    known = [name for name in inspect.signature(method).parameters if name != "self"]
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        return f"{call}() has no argument '{unknown}'. {_instead(unknown, method.__name__, known)}"
    words = str(error).removeprefix(f"{method.__qualname__}() ")
    arguments = ", ".join(known)
    return f"{call}() {words}. {_NEEDS.get(method.__name__, f'Arguments: {arguments}.')}"


def _instead(name: str, call: str, known: Sequence[str]) -> str:
    if name in _OF_CALL.get(call, {}):
        return _OF_CALL[call][name]
    same = next((each for each in _SAME.get(name, ()) if each in known), None)
    if same is not None:
        return f"Write {same}=."
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    near = get_close_matches(name, known, n=1)
    if near:
        return f"Did you mean {near[0]}=?"
    if "id" in known and name.endswith("_id"):
        return f"Pass it as the id: {call}(plan, id)."
    is_column = "where" in known and name not in _SAME
    condition = f" To choose by a column, write a condition: where=User.{name} == ..." if is_column else ""
    return f"Arguments: {', '.join(known)}.{condition}"
