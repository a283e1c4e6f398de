"""Raises errors for names that declarations and loaders do not have. The errors say what to write instead."""

import contextlib
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from loadplan.declared.code import is_relationship, source, subquery_over

C = TypeVar("C")

_FETCH = "a loader fetches: Loader(engine).fetch(plan, id)."
_ALSO = "write plan.also(load(...))."
_NEST = "nest the loads: load(User.posts, load(Post.comments))."
_BELOW = "nest the loads: {self}, load(...))."
_WHERE = "write where= inside: {self}, where=...)."
_SORTED = "write order_by= inside: {self}, order_by=...)."
_FIRST_ROWS = "for the first rows of each parent, write {self}, order_by=..., limit=3)."
_NOT_LOADED = "leave the relationship out of the plan. Code that reads it then gets NotLoaded."
_OPENS_NOTHING = "a loader holds nothing open. Close the session or the engine that you gave to it."
_ONLY_READS = "a loader only reads. Write with your session: fetch_attached(plan, id), change the object, and commit."
_LIST = "write fetch_all(plan, where=..., order_by=..., limit=...)."
_FIRST = "write fetch_all(plan, where=..., order_by=..., limit=1), which returns a list of one or none."
_ITEMS = "read page.items, the list of the roots."
_TOTAL = 'write fetch_page(plan, ..., total="exact"), then read page.total.'

#: Hints by class, then by the name of a method that other libraries have: what to write instead.
_METHODS: dict[str, dict[str, str]] = {
    "Load": {
        **dict.fromkeys(
            (
                *("load", "options", "selectinload", "joinedload", "subqueryload", "immediateload", "contains_eager"),
                *("defaultload", "also", "include", "with_"),
            ),
            _BELOW,
        ),
        **dict.fromkeys(("filter", "filter_by", "and_", "having"), _WHERE),
        **dict.fromkeys(("order", "sort", "sort_by", "asc", "desc"), _SORTED),
        **dict.fromkeys(("offset", "slice", "first", "top", "take", "fetch"), _FIRST_ROWS),
        **dict.fromkeys(("load_only", "undefer", "columns"), "write only= inside: {self}, only=[...])."),
        **dict.fromkeys(("raiseload", "noload", "lazyload"), _NOT_LOADED),
        **dict.fromkeys(("join", "outerjoin", "joined"), 'write {self}, strategy="joined").'),
        "of_type": "write {self}, on(Video)), or {self}.of_type(Video)).",
    },
    "On": {
        **dict.fromkeys(
            ("load", "options", "selectinload", "joinedload", "subqueryload", "also", "include", "with_"), _BELOW
        ),
        **dict.fromkeys(
            ("where", "filter", "filter_by", "order_by", "limit", "strategy"),
            "write it into the load around: load(User.posts, {self}), where=...).",
        ),
        **dict.fromkeys(("load_only", "undefer", "columns"), "write only= inside: {self}, only=[...])."),
    },
    "LoadPlan": {
        **dict.fromkeys(
            (
                *("load", "add", "with_", "extend", "include", "selectinload", "joinedload", "subqueryload"),
                *("immediateload", "join", "outerjoin", "prefetch_related", "select_related"),
            ),
            _ALSO,
        ),
        **dict.fromkeys(("load_only", "undefer", "columns"), "write only= inside: {self}, only=[...])."),
        **dict.fromkeys(("raiseload", "noload", "lazyload"), _NOT_LOADED),
        "on": "write plan.also(on(...)).",
        **dict.fromkeys(("params", "bindparams"), "pass params= with the fetch: fetch(plan, id, params={{...}})."),
        "with_for_update": "lock with the fetch: fetch(plan, id, for_update=True).",
        **dict.fromkeys(
            ("where", "filter", "filter_by", "order_by", "limit", "offset"),
            "choose and sort the roots with the fetch: fetch_all(plan, where=..., order_by=..., limit=...).",
        ),
        **dict.fromkeys(
            ("fetch", "fetch_all", "fetch_one", "get", "all", "first", "one", "execute", "run", "stream", "count"),
            _FETCH,
        ),
    },
    "Source": dict.fromkeys(
        (
            *("ilike", "like", "in_", "not_in", "is_", "is_not", "between", "contains", "icontains"),
            *("startswith", "istartswith", "endswith", "iendswith", "op", "any", "has", "regexp_match"),
        ),
        "write the condition inside the path: {self}.{name}(...)).",
    )
    | {"collate": "write it inside the path: {self}.collate(...))."},
    "Aggregate": {
        **dict.fromkeys(
            (
                *("asc", "desc", "nulls_first", "nulls_last", "label", "is_", "is_not", "in_", "not_in", "between"),
                *("like", "ilike", "any", "has", "over", "op"),
            ),
            "in a condition or an order, write a subquery{subquery}.{name}(...).",
        ),
        **dict.fromkeys(("filter", "filter_by", "and_", "having"), _WHERE),
    },
    "Page": {
        **dict.fromkeys(
            ("results", "data", "rows", "objects", "content", "records", "edges", "nodes", "all", "object_list"), _ITEMS
        ),
        **dict.fromkeys(("has_next", "has_more", "has_next_page", "is_last"), "page.next is None on the last page."),
        **dict.fromkeys(
            ("has_previous", "has_prev", "has_previous_page", "is_first"), "page.previous is None on the first page."
        ),
        **dict.fromkeys(
            ("cursor", "next_cursor", "end_cursor", "next_page", "next_page_token", "next_page_number"),
            "page.next is the cursor of the next page: fetch_page(plan, ..., after=page.next).",
        ),
        **dict.fromkeys(
            ("prev", "prev_cursor", "previous_cursor", "start_cursor", "previous_page", "previous_page_number"),
            "page.previous is the cursor of the page before: fetch_page(plan, ..., before=page.previous).",
        ),
        **dict.fromkeys(("count", "total_count", "total_items", "pages", "num_pages", "total_pages"), _TOTAL),
        **dict.fromkeys(
            ("number", "page", "page_number", "offset", "per_page", "page_size", "size", "limit"),
            "a page has no number and no size. page.next is the cursor of the next page.",
        ),
    },
    "Statements": {
        **dict.fromkeys(("sql", "queries", "statements"), "write statements.texts for the SQL of all statements."),
        **dict.fromkeys(("first", "last", "all"), "write list(statements), which is a list of Statement."),
    },
    "Loader": {
        **dict.fromkeys(
            (
                "get",
                "get_or_none",
                "get_or_404",
                "fetch_by_id",
                "find_by_id",
                "find_unique",
                "load",
                "read",
                "retrieve",
            ),
            "fetch(plan, id) raises NotFound if there is no row, and fetch_or_none(plan, id) returns None.",
        ),
        **dict.fromkeys(
            (
                *("all", "list", "find", "scalars", "execute", "select", "query", "fetch_list"),
                *("filter", "filter_by", "find_many", "findMany", "find_all", "fetch_by", "where"),
            ),
            _LIST,
        ),
        **dict.fromkeys(("first", "find_first", "fetch_first", "fetch_first_or_none"), _FIRST),
        **dict.fromkeys(("one", "find_one", "get_one"), "write fetch_one(plan, where=...)."),
        **dict.fromkeys(("one_or_none", "fetch_one_none"), "write fetch_one_or_none(plan, where=...)."),
        **dict.fromkeys(("page", "paginate", "fetch_paginated"), "write fetch_page(plan, order_by=..., size=...)."),
        **dict.fromkeys(("iterate", "iter", "fetch_stream", "stream_all"), "write stream(plan, order_by=...)."),
        **dict.fromkeys(
            ("fetch_all_attached", "fetch_many_attached", "fetch_attached_many"),
            "read the objects with your session, then write extend(objects, load(...)).",
        ),
        **dict.fromkeys(("prefetch", "populate", "preload"), "write extend(objects, load(...))."),
        **dict.fromkeys(
            (
                *("add", "save", "delete", "commit", "flush", "merge", "update", "create", "refresh"),
                *("add_all", "insert", "upsert", "bulk_create", "rollback"),
            ),
            _ONLY_READS,
        ),
        **dict.fromkeys(("begin", "transaction"), "begin it with your session, and write Loader(session)."),
        **dict.fromkeys(("close", "aclose", "dispose", "disconnect", "connect"), _OPENS_NOTHING),
        **dict.fromkeys(("session", "engine", "bind", "connection"), "keep the object that you gave to the loader."),
        **dict.fromkeys(("with_options", "options"), "pass execution_options= with the call."),
        "fetch_count": "write count(plan, where=...).",
        "fetch_exists": "write exists(plan, where=...).",
        "batched": "only Loader has batches, because they combine tasks. For several ids, write fetch_many(plan, ids).",
    },
}

_OF_SOURCE = "a 'Source' is not a SQL expression"
_OF_AGGREGATE = "{self} is for fields of views. It is not a SQL expression"
_COUNTED = "write a subquery{subquery} {sign} {other}."
_OF_LOADER = "a '{kind}' is not a context manager"
_NO_WITH = "write loader = {kind}(engine), without 'with'. A loader holds nothing open."

#: By class, then by the method of an operator: what is wrong, and what to write in place of the operator.
_OPERATORS: dict[str, dict[str, tuple[str, str]]] = {
    "Source": {
        "__lt__": (_OF_SOURCE, "write the comparison inside the path: {begun} < {other})."),
        "__le__": (_OF_SOURCE, "write the comparison inside the path: {begun} <= {other})."),
        "__gt__": (_OF_SOURCE, "write the comparison inside the path: {begun} > {other})."),
        "__ge__": (_OF_SOURCE, "write the comparison inside the path: {begun} >= {other})."),
        "__and__": (
            _OF_SOURCE,
            "pass a list if all must hold: where=[{self}, {other}].",
        ),
        "__or__": (_OF_SOURCE, "use has() beside other conditions: {has} | {beside}."),
        "__invert__": (_OF_SOURCE, "write 'not' inside the path: {not}."),
    },
    "Aggregate": {
        **{
            f"__{name}__": (_OF_AGGREGATE, _COUNTED.replace("{sign}", sign))
            for name, sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "add": "+", "sub": "-"}.items()
        },
        **dict.fromkeys(
            ("__invert__", "__and__", "__or__"),
            (_OF_AGGREGATE, "in a condition, write User.posts.any(...), Post.author.has(...) or ~User.posts.any()."),
        ),
    },
    "LoadPlan": {
        **dict.fromkeys(("__call__", "__getitem__"), ("a 'LoadPlan' only says what to load", _FETCH)),
        **dict.fromkeys(("__add__", "__or__", "__and__"), ("a 'LoadPlan' has no operators", _ALSO)),
    },
    "Load": {
        "__call__": ("a 'Load' is a value, and you cannot call it", "nest the loads: {begun}, {nested})."),
        "__getitem__": (
            "a 'Load' has no items",
            "for the first rows of each parent, write {begun}, order_by=..., limit=3).",
        ),
        **dict.fromkeys(
            ("__add__", "__or__", "__and__"),
            ("a 'Load' has no operators", "pass both loads to the plan: LoadPlan(..., {self}, {other})."),
        ),
    },
    "Statements": {"__getitem__": ("'Statements' is not a list", "write list(statements)[0], or statements.texts[0].")},
    "Page": dict.fromkeys(("__getitem__", "__len__"), ("a 'Page' is not a list", _ITEMS)),
    "Loader": {
        "__call__": ("a '{kind}' is not a function", "write fetch(plan, id) or another call of the loader."),
        **dict.fromkeys(("__enter__", "__exit__", "__aenter__", "__aexit__"), (_OF_LOADER, _NO_WITH)),
    },
}


def with_hints(kind: str) -> Callable[[type[C]], type[C]]:
    """Return a class decorator. If code reads a missing name, the error says what to write instead.

    Type checkers do not see the decorator's ``__getattr__``, so they still reject the name.

    Args:
        kind: the key of the hints in ``_METHODS``.
    """
    hints = _METHODS[kind]

    def __getattr__(self: object, name: str) -> NoReturn:  # noqa: N807 - it becomes a method of the class
        said = f"'{type(self).__name__}' object has no attribute '{name}'"
        hint = _filled(hints[name], self, kind, name) if name in hints else _guess(self, name)
        raise AttributeError(said if hint is None else f"{said}\n  hint: {hint}", name=name, obj=self)

    def decorated(made: type[C]) -> type[C]:
        made.__getattr__ = __getattr__  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        for name, (said, hint) in _OPERATORS.get(kind, {}).items():
            setattr(made, name, _operator_with(said, hint, kind))
        return made

    return decorated


#: By class: an example of its code, without the last bracket.
_EXAMPLES = {
    "Load": "load(User.posts",
    "On": "on(Manager",
    "LoadPlan": "LoadPlan(User",
    "Source": "source(Post.author, User.name",
    "Aggregate": "count(User.posts",
}


def _begun(given: object, kind: str) -> str:
    """Return the beginning of the code that makes a value: ``load(Order.lines``. If it is not known, use an example."""
    example = _EXAMPLES.get(kind, "")
    call = _own(given, "kind") or example.partition("(")[0]
    try:
        values = [_own(given, each) for each in ("relationship", "entity", "expression")]
        path: Any = _own(given, "path") or [each for each in values if each is not None]
        return f"{call}({', '.join(map(source, path))}" if path else example
    except Exception:  # the path may hold any value, whose methods may raise any error
        return example


def _filled(hint: str, given: object, kind: str, name: str) -> str:
    subquery = counting(given) if "{subquery}" in hint else ""
    return hint.format(name=name, self=_begun(given, kind), subquery=subquery)


def counting(given: object) -> str:
    """Return the words for the subquery that computes ``count(...)`` or another aggregate for each row."""
    relationship: Any = _own(given, "relationship")
    expression: Any = _own(given, "expression")
    where: Any = _own(given, "where")
    code, over = "select(func.count()).where(Post.author_id == User.id).scalar_subquery()", ""
    with contextlib.suppress(Exception):  # the relationship may be any value, and its mapping may be unfinished
        asked = "func.count()" if expression is None else source(expression)
        found = subquery_over(relationship, asked, tuple(where))
        if found is not None:
            code = found[0]
            over = f" over other = aliased({relationship.property.mapper.class_.__name__})" if found[1] else ""
    return f"{over}: {code}"


def _guess(given: object, name: str) -> str | None:
    """Return a hint for a name that no table has: an attribute of the plan's class, or a name that is nearly the same.

    Python asks objects for many names that begin with an underscore. For these there is no hint.
    """
    if name.startswith("_"):
        return None
    entity: Any = _own(given, "entity")
    if issubclass(type(entity), type) and hasattr(entity, name):
        return f"a plan only says what to load. Read '{name}' from the result of loader.fetch(plan, id)."
    public = [each for each in dir(type(given)) if not each.startswith("_")]
    near = get_close_matches(name, public, n=1)
    return f"did you mean '{near[0]}'?" if near else None


def _own(given: object, name: str) -> object:
    """Return an attribute of an object, without the search for a missing name; None if the object does not have it."""
    try:
        return object.__getattribute__(given, name)
    except AttributeError:
        return None


def _operator_with(said: str, hint: str, kind: str) -> Callable[..., NoReturn]:
    def refused(self: object, *others: object, **__: object) -> NoReturn:
        whole = f"{said}\n  hint: {hint}".replace("{kind}", type(self).__name__).replace("{self}", repr(self))
        raise TypeError(whole if "{" not in hint else _with_others(whole, self, others, kind))

    return refused


def _with_others(whole: str, given: object, others: Sequence[object], kind: str) -> str:
    """Fill the code of the operands of an operator into a hint."""
    values = {"begun": _begun(given, kind), "subquery": counting(given)}
    values |= dict.fromkeys(("other", "beside", "nested", "not", "has"), "...")
    with contextlib.suppress(Exception):  # the path may hold any value, and its methods may raise any error
        path: Any = _own(given, "path")
        *steps, last = map(source, path)
        values["not"] = f"source({', '.join([*steps, f'~({last})' if ' ' in last else f'~{last}'])})"
        values["has"] = "".join(f"{step}.has(" for step in steps) + last + ")" * len(steps)
    with contextlib.suppress(Exception):
        values["other"] = other = source(others[0])
        values["nested"] = f"load({other})" if is_relationship(others[0]) else other
        values["beside"] = f"({other})" if " " in other else other
    for name, value in values.items():
        whole = whole.replace(f"{{{name}}}", value)
    return whole
