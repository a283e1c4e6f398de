"""What several processes of one run saw of plans, put together: plain data that can cross from process to process."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import attrs

from loadplan.plan import LoadPlan
from loadplan.tools.targets import TargetError, import_target

Told: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Something that a plan loads: the code that loads it, where, and the path of names that leads to it."""


@attrs.frozen
class Unread:
    """Something that plans load and no code read.

    Attributes:
        plan: where the plan is, as ``"shop.plans:USER_PAGE"``, or its name.
        what: ``"load(Comment.author)"``, ``"Post.text"``, or ``"PostCard.author"`` of a view.
        at: the edges that lead there from the root; ``"its root"`` at the root.
        fetches: how often the plan was fetched.
    """

    plan: str
    what: str
    at: str
    fetches: int

    def __str__(self) -> str:
        times = f"{self.fetches} fetch{'es' * (self.fetches != 1)}"
        return f"{self.plan}: {self.what} at {self.at}: not read in {times}"


@attrs.frozen
class PlanReads:
    """The reads of a plan in one process.

    Attributes:
        plan: where the plan is, or its name.
        fetches: how often it was fetched.
        unread: what no code read, of all that code came near to.
        read: the paths of what code read.
    """

    plan: str
    fetches: int
    unread: tuple[Told, ...]
    read: frozenset[tuple[str, ...]]

    def and_of(self, other: "PlanReads") -> "PlanReads":
        """Return what both saw of one plan: what either of them read is read."""
        read = self.read | other.read
        unread = [each for each in dict.fromkeys((*self.unread, *other.unread)) if each[2] not in read]
        return PlanReads(self.plan, self.fetches + other.fetches, tuple(unread), read)

    @property
    def found(self) -> list[Unread]:
        """What is unread, for people."""
        return [Unread(self.plan, what, at, self.fetches) for what, at, _ in self.unread]


def merged_reads(seen: Iterable[PlanReads]) -> list[PlanReads]:
    """Return what several processes saw, one value a plan."""
    found: dict[str, PlanReads] = {}
    for each in seen:
        found[each.plan] = found[each.plan].and_of(each) if each.plan in found else each
    return list(found.values())


def reads_report(
    seen: Iterable[PlanReads],
    unwatched: Sequence[str],
    code_without: Callable[[str, Sequence[tuple[str, ...]]], str | None],
) -> str:
    """Return what was not read, each plan with its code as it would be without it.

    Args:
        seen: of each plan.
        unwatched: names of view classes whose fields cannot be watched.
        code_without: the code of a plan without what paths lead to; None where it cannot be told.
    """
    parts: list[str] = []
    for each in seen:
        if each.unread:
            code = code_without(each.plan, [path for _, _, path in each.unread])
            parts.append("\n".join([*map(str, each.found), *([] if code is None else [code])]))
    if unwatched:
        parts.append(f"not watched: {', '.join(unwatched)}, whose fields can be read without a trace")
    return "\n\n".join(parts)


@attrs.frozen
class Missing:
    """Something that a run touched and a plan does not load.

    Attributes:
        plan: the name of the plan.
        where: where it is, as ``"shop.plans:USER_PAGE"``, or its name.
        path: the relationships that lead there.
        entity: the class that has the attribute, as ``"shop.models:User"``.
        attribute: its name.
        add: the code that loads it.
        times: how often it was missing.
    """

    plan: str
    where: str
    path: tuple[str, ...]
    entity: str
    attribute: str
    add: str
    times: int = 1

    def counted(self, times: int) -> "Missing":
        """Return the same, missing so many times."""
        return attrs.evolve(self, times=times)


def name_of(plan: LoadPlan[Any]) -> str:
    """Return where a plan is, as ``"shop.plans:USER_PAGE"``: the module name that it has; else its own name."""
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


def counted_times(number: int) -> str:
    """Return a number for a sentence: ``"1 time"``, ``"4 times"``."""
    return f"{number} time{'s' * (number != 1)}"


def lines_to_add(missing: Sequence[Missing]) -> str:
    """Return what one plan lacks line by line, for a plan that is at hand in no module."""
    times = sum(each.times for each in missing)
    places = dict.fromkeys((" > ".join(each.path) or "its root", each.add) for each in missing)
    lines = [f"{missing[0].plan}: something was missing {counted_times(times)}. Add to the plan:"]
    return "\n".join([*lines, *(f"at {at}: {add}" for at, add in places)])
