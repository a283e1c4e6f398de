"""Raises errors for names that declarations and loaders do not have. The errors say what to write instead."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

C = TypeVar("C")

#: Hints by class, then by the name of a method that other libraries have: what to write instead.
_METHODS: dict[str, dict[str, str]] = {
    "Load": {
        **dict.fromkeys(
            ("load", "options", "selectinload", "joinedload", "subqueryload", "also"),
            "nest the loads: load(User.posts, load(Post.comments)).",
        ),
        **dict.fromkeys(("filter", "filter_by", "and_"), "write where= into the load: load(User.posts, where=...)."),
        **dict.fromkeys(("load_only", "undefer"), "write only= into the load: load(User.posts, only=[Post.title])."),
        "of_type": "write load(User.posts, on(Video)), or load(User.posts.of_type(Video)).",
    },
    "LoadPlan": {
        **dict.fromkeys(("load", "add", "with_", "extend", "include"), "write plan.also(load(...))."),
        **dict.fromkeys(
            ("where", "filter", "filter_by", "order_by", "limit", "offset"),
            "choose and sort the roots with the fetch: fetch_all(plan, where=..., order_by=..., limit=...).",
        ),
        **dict.fromkeys(
            ("fetch", "fetch_all", "fetch_one", "get", "all", "first", "one", "execute", "run", "stream", "count"),
            "a loader fetches: Loader(engine).fetch(plan, id).",
        ),
    },
    "Source": dict.fromkeys(
        (
            *("ilike", "like", "in_", "not_in", "is_", "is_not", "between", "contains", "icontains"),
            *("startswith", "istartswith", "endswith", "iendswith", "op", "any", "has", "regexp_match"),
        ),
        "write the condition inside the path: source(Post.author, User.name.{name}(...)).",
    ),
    "Loader": {
        "get": "fetch(plan, id) raises NotFound if there is no row, and fetch_or_none(plan, id) returns None.",
        **dict.fromkeys(
            ("all", "list", "find", "scalars", "execute", "select", "query", "fetch_list"),
            "write fetch_all(plan, where=..., order_by=..., limit=...).",
        ),
        **dict.fromkeys(
            ("first", "fetch_first", "fetch_first_or_none"),
            "write fetch_all(plan, where=..., order_by=..., limit=1), which returns a list of one or none.",
        ),
        "one": "write fetch_one(plan, where=...).",
        **dict.fromkeys(("one_or_none", "fetch_one_none"), "write fetch_one_or_none(plan, where=...)."),
        **dict.fromkeys(("page", "paginate", "fetch_paginated"), "write fetch_page(plan, order_by=..., size=...)."),
        **dict.fromkeys(("iterate", "iter", "fetch_stream", "stream_all"), "write stream(plan, order_by=...)."),
        **dict.fromkeys(
            ("fetch_all_attached", "fetch_many_attached", "fetch_attached_many"),
            "read the objects with your session, then write extend(objects, load(...)).",
        ),
        **dict.fromkeys(
            ("add", "save", "delete", "commit", "flush", "merge", "update", "create", "refresh"),
            "a loader only reads. Write with your session: fetch_attached(plan, id), change the object, and commit.",
        ),
        **dict.fromkeys(("with_options", "options"), "pass execution_options= with the call."),
        "fetch_count": "write count(plan, where=...).",
        "fetch_exists": "write exists(plan, where=...).",
        "batched": "only Loader has batches, because they combine tasks. For several ids, write fetch_many(plan, ids).",
    },
}

#: By class, then by the method of an operator: what to write in place of the operator.
_OPERATORS: dict[str, dict[str, str]] = {
    "Source": {
        "__lt__": "write the comparison inside the path: source(Post.author, User.age < 18).",
        "__le__": "write the comparison inside the path: source(Post.author, User.age <= 18).",
        "__gt__": "write the comparison inside the path: source(Post.author, User.age > 18).",
        "__ge__": "write the comparison inside the path: source(Post.author, User.age >= 18).",
        "__and__": "pass a list if all must hold: where=[Post.public, source(Post.author, User.active)].",
        "__or__": "use has() beside other conditions: Post.public | Post.author.has(User.active).",
        "__invert__": "write 'not' inside the path: source(Post.author, ~User.active).",
    }
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
        if name in hints:
            said = f"{said}\n  hint: {hints[name].format(name=name)}"
        raise AttributeError(said, name=name, obj=self)

    def decorated(made: type[C]) -> type[C]:
        made.__getattr__ = __getattr__  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        for name, hint in _OPERATORS.get(kind, {}).items():
            setattr(made, name, _operator_with(hint))
        return made

    return decorated


def _operator_with(hint: str) -> Callable[..., NoReturn]:
    def refused(self: object, *_: object) -> NoReturn:
        raise TypeError(f"a '{type(self).__name__}' is not a SQL expression\n  hint: {hint}")

    return refused
