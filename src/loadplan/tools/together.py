"""Combines the reads of several processes of one run. The values are plain data, which can go to another process."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import attrs

from loadplan.errors import counted
from loadplan.plan import LoadPlan
from loadplan.tools.targets import TargetError, import_target

Told: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Something that a plan loads: the code that loads it, where, and the path of names that leads to it."""


@attrs.frozen
class Unread:
    """An attribute or a load that a plan has and that no code has read.

    Attributes:
        plan: the place of the plan, as ``"shop.plans:USER_PAGE"``, or its name.
        what: the load or the attribute: ``"load(Comment.author)"``, ``"Post.text"``, or a view's ``"PostCard.author"``.
        at: the edges that lead to it from the root; ``"its root"`` at the root.
        fetches: how often the plan was fetched.
    """

    plan: str
    what: str
    at: str
    fetches: int

    def __str__(self) -> str:
        return f"{self.plan}: {self.what} at {self.at}: not read in {counted(self.fetches, 'fetch')}"


@attrs.frozen
class PlanReads:
    """The reads of a plan in one process.

    Attributes:
        plan: the place of the plan, or its name.
        fetches: how often the plan was fetched.
        unread: the paths that no code has read, below objects that code has reached.
        read: the paths that code has read.
    """

    plan: str
    fetches: int
    unread: tuple[Told, ...]
    read: frozenset[tuple[str, ...]]

    def and_of(self, other: "PlanReads") -> "PlanReads":
        """Return the reads of both processes for one plan. A path counts as read if one of them has read it."""
        read = self.read | other.read
        unread = [each for each in dict.fromkeys((*self.unread, *other.unread)) if each[2] not in read]
        return PlanReads(self.plan, self.fetches + other.fetches, tuple(unread), read)

    @property
    def found(self) -> list[Unread]:
        """The unread paths, in words."""
        return [Unread(self.plan, what, at, self.fetches) for what, at, _ in self.unread]


def merged_reads(seen: Iterable[PlanReads]) -> list[PlanReads]:
    """Return the combined reads of several processes, one value for each plan."""
    found: dict[str, PlanReads] = {}
    for each in seen:
        found[each.plan] = found[each.plan].and_of(each) if each.plan in found else each
    return list(found.values())


def reads_report(
    seen: Iterable[PlanReads],
    unwatched: Sequence[str],
    code_without: Callable[[str, Sequence[tuple[str, ...]]], str | None],
) -> str:
    """Return the report on unread paths. For each plan, the report contains the code of the plan without these paths.

    Args:
        seen: the reads of each plan.
        unwatched: names of view classes whose fields cannot be watched.
        code_without: returns the code of a plan without some paths, or None.
    """
    parts: list[str] = []
    for each in seen:
        if each.unread:
            code = code_without(each.plan, [path for _, _, path in each.unread])
            parts.append("\n".join([*map(str, each.found), *([] if code is None else [code])]))
    if unwatched:
        parts.append(f"not watched: {', '.join(unwatched)}. loadplan cannot see which of their fields your code reads.")
    return "\n\n".join(parts)


@attrs.frozen
class Missing:
    """An attribute that code of a run has read and that the plan does not load.

    Attributes:
        plan: the name of the plan.
        where: the place of the plan, as ``"shop.plans:USER_PAGE"``, or its name.
        path: the relationships that lead to the object.
        entity: the class that has the attribute, as ``"shop.models:User"``.
        attribute: the name of the attribute.
        add: the code that loads it.
        times: how often code has read it.
    """

    plan: str
    where: str
    path: tuple[str, ...]
    entity: str
    attribute: str
    add: str
    times: int = 1

    def counted(self, times: int) -> "Missing":
        """Return a copy with ``times`` set to another number."""
        return attrs.evolve(self, times=times)


def name_of(plan: LoadPlan[Any]) -> str:
    """Return the place of a plan, such as ``"shop.plans:USER_PAGE"``; if it is unknown, the name of the plan."""
    for name, module in list(sys.modules.items()):
        for variable, value in list(getattr(module, "__dict__", {}).items()):
            if type(value) is LoadPlan and value is plan:
                return f"{name}:{variable}"
    return plan.label


def plan_at(where: str) -> LoadPlan[Any] | None:
    """Return the plan that a module holds under a name; None if no module that can be imported does."""
    if ":" not in where:
        return None
    try:
        found = import_target(where)
    except TargetError:
        return None
    return found if isinstance(found, LoadPlan) else None


def lines_to_add(missing: Sequence[Missing]) -> str:
    """Return the missing attributes of one plan, one a line. Used for a plan that no module holds."""
    times = sum(each.times for each in missing)
    places = dict.fromkeys((" > ".join(each.path) or "its root", each.add) for each in missing)
    lines = [f"{missing[0].plan}: code read missing attributes {counted(times, 'time')}. Add to the plan:"]
    return "\n".join([*lines, *(f"at {at}: {add}" for at, add in places)])
