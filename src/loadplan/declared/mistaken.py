"""Arguments and names that declarations and loaders do not have, and what to write instead. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from loadplan.errors import PlanError, Problem, did_you_mean

C = TypeVar("C")

_ROOTS = {
    "where": "which roots to load is said with the fetch: fetch_all(plan, where=...). For related rows, write "
    "where= into their load(...).",
    "order_by": "the order of the roots is said with the fetch: fetch_all(plan, order_by=...). For related rows, write "
    "order_by= into their load(...).",
    "limit": "how many roots to load is said with the fetch: fetch_all(plan, limit=...). For related rows, write "
    "limit= into their load(...).",
    "offset": "it is an argument of the fetch: fetch_all(plan, offset=...).",
    "depth": "write depth= into the load(...) of the tree: load(Folder.folders, depth=...).",
    "strategy": "write strategy= into a load(...).",
    "params": "values of parameters are given with the fetch: fetch(plan, id, params={...}).",
    "loads": "pass the loads one by one, without a name: LoadPlan(User, load(User.posts)).",
    "undefer": "nest a plan of the deferred column: LoadPlan(Post, LoadPlan(Post, only=[Post.text])).",
}
_RELATED = {
    "name": "remove it: only a LoadPlan has a name.",
    "offset": "remove it: a load has where=, order_by= and limit=. To page through related rows, make a plan of them.",
    "params": "values of parameters are given with the fetch: fetch(plan, id, params={...}).",
    "loads": "pass the loads one by one, without a name: load(User.posts, load(Post.comments)).",
    "typed": "remove it: only a LoadPlan has typed=.",
    "budget": "remove it: only a LoadPlan has a budget.",
    "undefer": "load the relationship twice: load(User.posts), load(User.posts, only=[Post.text]).",
}
#: What other libraries call an argument.
_WORDS = {
    **dict.fromkeys(("filter", "filters", "filter_by", "condition", "conditions", "criteria"), "where"),
    **dict.fromkeys(("order", "sort", "sort_by", "orderby"), "order_by"),
    **dict.fromkeys(("first", "top", "size", "take"), "limit"),
    **dict.fromkeys(("skip",), "offset"),
    **dict.fromkeys(("columns", "fields", "load_only", "select"), "only"),
    **dict.fromkeys(("exclude", "omit", "without"), "defer"),
    **dict.fromkeys(("options", "load", "include", "relationships", "prefetch", "joins"), "loads"),
    **dict.fromkeys(("recursion_depth", "max_depth", "levels", "recursive", "join_depth"), "depth"),
    **dict.fromkeys(("loader", "lazy", "how"), "strategy"),
    **dict.fromkeys(("schema", "view", "model", "as_", "dto", "response_model"), "into"),
}


def check_no_more(call: str, given: Mapping[str, Any], known: Iterable[str], at: str) -> None:
    """Refuse arguments that a declaration does not have.

    Args:
        call: ``"LoadPlan"`` or ``"load"``.
        given: the arguments, by name.
        known: arguments that it has.
        at: what it is about.

    Raises:
        PlanError: LP113, for each of them.
    """
    if given:
        raise PlanError([_unknown_argument(call, word, tuple(known), at) for word in given])


def _unknown_argument(call: str, word: str, known: tuple[str, ...], at: str) -> Problem:
    hints = _ROOTS if call == "LoadPlan" else _RELATED
    meant = _WORDS.get(word, word)
    hint = hints.get(meant)
    if hint is None and meant in known:
        hint = f"write {meant}=."
    return Problem(
        "LP113",
        f"{call}() has no argument '{word}'",
        (at,),
        hint=hint or did_you_mean(word, known, f"Arguments of {call}"),
    )


#: By class, then by name: what to write in place of a method that other libraries have.
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
        "a condition stands within the path: source(Post.author, User.name.{name}(...)).",
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


def with_hints(kind: str) -> Callable[[type[C]], type[C]]:
    """Return a decorator: a class that says what to write instead of a name that it does not have.

    Type checkers see nothing of it, so to them the name is not there.

    Args:
        kind: the row of hints.
    """
    hints = _METHODS[kind]

    def __getattr__(self: object, name: str) -> NoReturn:  # noqa: N807 - it becomes the method
        said = f"'{type(self).__name__}' object has no attribute '{name}'"
        if name in hints:
            said = f"{said}\n  hint: {hints[name].format(name=name)}"
        raise AttributeError(said, name=name, obj=self)

    def decorated(made: type[C]) -> type[C]:
        made.__getattr__ = __getattr__  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        return made

    return decorated
