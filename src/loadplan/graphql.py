"""Turns the selection of a GraphQL query into a part of a declared plan. Needs the extra ``graphql``.

It takes the ``info`` of a resolver, from graphql-core, Ariadne or Strawberry.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
    Undefined,
    get_named_type,
    value_from_ast_untyped,
)

from loadplan.errors import PlanError, Problem
from loadplan.plan import LoadPlan
from loadplan.resolved.narrowing import MOST_NAMES, Wanted, merged, narrowed_plan

T = TypeVar("T")

#: Fields of a Relay connection that lead to its rows.
_WAYS = frozenset({"edges", "node", "nodes"})

#: Arguments of a connection that a plan does not support: it cannot begin in the middle of a collection.
_BEGINNINGS = ("after", "before", "last", "offset")


def snake_case(name: str) -> str:
    """Return a name in snake case: ``created_at`` for ``createdAt``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def selected_plan(
    info: Any,
    allowed: LoadPlan[T],
    *,
    reads: Mapping[str, Iterable[str]] | None = None,
    name_of: Callable[[str], str] = snake_case,
) -> LoadPlan[T]:
    """Return the part of a plan that a GraphQL query selects below the field that is being resolved.

    It understands fragments, aliases, ``@skip`` and ``@include``. A Relay connection (a type whose name ends in
    ``Connection``) stands for its rows. If the plan gives an order, ``first`` becomes the limit of each parent, but
    never more than the limit of the plan. If one field is selected several times, the largest ``first`` counts: your
    resolver must cut the others.

    Equal selections give the same plan, as with :meth:`loadplan.LoadPlan.narrowed_to`.

    Args:
        info: the ``info`` of the resolver.
        allowed: a plan that loads everything that a query may reach from this field.
        reads: the attributes that your own resolvers read, by type and field:
            ``{"User.fullName": ["first_name", "last_name"], "User.avatar": []}``. Write an empty list for a resolver
            that reads no attribute.
        name_of: a function that turns the name of a field into the name of an attribute.

    Raises:
        PlanError: LP120, the query selects something that the plan does not allow, or passes ``after`` to a connection.
    """
    given: GraphQLResolveInfo[Any] = getattr(info, "_raw_info", info)  # Strawberry wraps the info of graphql-core
    walk = _Walk(given, {key: list(paths) for key, paths in (reads or {}).items()}, name_of, allowed.label)
    kind = get_named_type(given.return_type)
    sets = [node.selection_set for node in given.field_nodes if node.selection_set is not None]
    plan: LoadPlan[T] = narrowed_plan(allowed, walk.wanted(kind, sets, None, 0))
    return plan


class _Walk:
    """Walks the selections of one query.

    Args:
        info: the ``info`` of the resolver.
        reads: by field, the attributes that its resolver reads.
        name_of: turns the name of a field into the name of an attribute.
        label: the label of the plan, for errors.
    """

    def __init__(
        self, info: "GraphQLResolveInfo[Any]", reads: Mapping[str, list[str]], name_of: Callable[[str], str], label: str
    ) -> None:
        self._info = info
        self._reads = reads
        self._name_of = name_of
        self._label = label

    def wanted(
        self, kind: GraphQLNamedType | None, sets: Iterable[SelectionSetNode], limit: int | None, depth: int
    ) -> Wanted:
        """Return the fields that the selections of one type ask for."""
        if depth > MOST_NAMES:
            raise PlanError([Problem("LP120", f"the query is more than {MOST_NAMES} levels deep", (self._label,))])
        fields: dict[str, list[tuple[FieldNode, Any]]] = {}
        names: dict[str, Wanted] = {}
        for node, owner in self.rows(kind, sets, set()):
            read = self._reads.get(f"{owner.name}.{node.name.value}")
            if read is not None:
                for path in read:
                    _add(names, path.split("."))
            elif not node.name.value.startswith("__"):
                fields.setdefault(self._name_of(node.name.value), []).append((node, owner))
        for name, nodes in fields.items():
            target = get_named_type(nodes[0][1].fields[nodes[0][0].name.value].type)
            below = [node.selection_set for node, _ in nodes if node.selection_set is not None]
            wanted = self.wanted(target, below, self.limit(nodes), depth + 1) if below else Wanted()
            names[name] = wanted if name not in names else merged(names[name], wanted)
        return Wanted(frozenset(names.items()), limit)

    def rows(
        self, kind: Any, sets: Iterable[SelectionSetNode], seen: set[tuple[str, str]]
    ) -> Iterator[tuple[FieldNode, Any]]:
        """Yield the fields that a query selects for the rows of a type. It looks through a connection and its edges."""
        for node, owner in self.fields(kind, sets, seen):
            if not _is_connection(owner):
                yield node, owner
            elif node.name.value in _WAYS and node.selection_set is not None:
                target = get_named_type(owner.fields[node.name.value].type)
                yield from self.rows(target, [node.selection_set], seen)

    def fields(
        self, kind: Any, sets: Iterable[SelectionSetNode], seen: set[tuple[str, str]]
    ) -> Iterator[tuple[FieldNode, Any]]:
        """Yield the fields of selections and of their fragments, each with the type that has it.

        It follows a fragment once for each type. Otherwise, the number of fragments that spread each other twice would
        double with each level.
        """
        for selections in sets:
            for node in selections.selections:
                if not self.is_included(node):
                    continue
                if isinstance(node, FieldNode):
                    yield node, kind
                elif isinstance(node, InlineFragmentNode):
                    condition = node.type_condition
                    inner = kind if condition is None else self._info.schema.get_type(condition.name.value)
                    yield from self.fields(inner, [node.selection_set], seen)
                elif isinstance(node, FragmentSpreadNode):
                    fragment = self._info.fragments[node.name.value]
                    if (node.name.value, kind.name) in seen:
                        continue
                    seen.add((node.name.value, kind.name))
                    inner = self._info.schema.get_type(fragment.type_condition.name.value)
                    yield from self.fields(inner, [fragment.selection_set], seen)

    def is_included(self, node: Any) -> bool:
        """Tell whether ``@skip`` and ``@include`` of a selection allow it."""
        said = {each.name.value: self.arguments(each).get("if") for each in node.directives or ()}
        return not said.get("skip", False) and bool(said.get("include", True))

    def arguments(self, node: Any) -> dict[str, Any]:
        """Return the arguments of a field or a directive. GraphQL has validated them before any resolver runs."""
        values: Any = self._info.variable_values
        coerced = getattr(values, "coerced", values)  # since graphql-core 3.3
        return {each.name.value: value_from_ast_untyped(each.value, coerced) for each in node.arguments or ()}

    def limit(self, nodes: Iterable[tuple[FieldNode, Any]]) -> int | None:
        """Return the largest ``first`` of connections; None if one of them wants all rows that the plan allows."""
        asked: list[int | None] = []
        for node, owner in nodes:
            field = owner.fields[node.name.value]
            if not _is_connection(get_named_type(field.type)):
                return None
            given = self.arguments(node)
            wrong = [name for name in _BEGINNINGS if given.get(name) is not None and given[name] is not Undefined]
            if wrong:
                raise PlanError([_beginning(f"{owner.name}.{node.name.value}", wrong[0], self._label)])
            default = field.args["first"].default_value if "first" in field.args else None
            first = given.get("first", default)
            asked.append(first if isinstance(first, int) else None)
        numbers = [each for each in asked if each is not None]
        return max(numbers) if numbers and len(numbers) == len(asked) else None


def _is_connection(kind: Any) -> bool:
    is_object = isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
    return is_object and (kind.name.endswith("Connection") or (kind.name.endswith("Edge") and "node" in kind.fields))


def _add(names: dict[str, Wanted], path: list[str]) -> None:
    """Add a path to names."""
    below = Wanted()
    for name in reversed(path[1:]):
        below = Wanted(frozenset({(name, below)}))
    names[path[0]] = merged(names[path[0]], below) if path[0] in names else below


def _beginning(name: str, argument: str, label: str) -> Problem:
    return Problem(
        "LP120",
        f"'{name}' is given '{argument}', but a plan loads only the first rows of each parent",
        (label,),
        hint="use only 'first' below the root, and page the roots with fetch_page.",
    )
