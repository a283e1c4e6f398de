"""The calls that put loaded values into the caller's session, or onto objects that the caller already has."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import attrs

from loadplan.errors import MultipleFound
from loadplan.explained.explained import ExplainedEdge
from loadplan.explained.explanation import Explanation, explain_plan
from loadplan.loaders.arguments import Call, ForUpdate, Options, Params, check_plan, locks, plan_itself
from loadplan.loaders.attaching import (
    check_attachable,
    extension,
    extension_by,
    in_fewer_statements,
    read_objects,
    session_of,
    stay_in,
)
from loadplan.loaders.calls import Calls, Work
from loadplan.loaders.counting import Total
from loadplan.loaders.missing import gone, not_found
from loadplan.objects.going_back import watch_sessions
from loadplan.objects.settling import SessionHome, settle
from loadplan.plan import LoadPlan
from loadplan.running import call_problems
from loadplan.running.call_options import check_options
from loadplan.running.graph import has_concrete_classes, identity_class, load_roots
from loadplan.running.keyed_roots import by_id, by_ids, by_stored
from loadplan.running.making import Kept
from loadplan.running.own_connection import Opened
from loadplan.running.plans import Compiled
from loadplan.running.roots import locking
from loadplan.running.tally import Tally
from loadplan.statements.keys import CHUNK

T = TypeVar("T")

watch_sessions()


@attrs.frozen(eq=False)
class AllCalls(Calls):
    """Every call of a loader."""

    def fetch_attached(
        self,
        plan: LoadPlan[T],
        given: object,
        params: Params,
        refresh: bool | None,
        for_update: ForUpdate | None,
        options: Options,
    ) -> T:
        """Return a graph as objects of the caller's session. See :meth:`loadplan.Loader.fetch_attached`."""
        check_plan(plan)
        session = session_of(self.bind, "fetch_attached")
        check_attachable(plan, "fetch_attached")
        lock = for_update if for_update is not None else False
        fresh = locks(lock) if refresh is None else refresh

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[T | None]:
            one = by_id(compiled)
            bound = {**one.parameters(params), **one.bind(given)}
            graph = one.graph.narrowed(locking(plan, lock)) if locks(lock) else one.graph

            def work(private: Opened) -> T | None:
                kept: Kept = []
                roots = load_roots(graph, private, [bound], tally, kept=kept)
                if len(roots) > 1:
                    raise MultipleFound(call_problems.several_have_key(plan.label, plan.entity.__name__, given))
                home = SessionHome(session, stay_in(compiled), {})
                settled = [settle(made, home, refresh=fresh) for made in kept]
                return settled[0][id(roots[0])] if roots else None

            return work

        found = self.run(plan, prepare, options, roots=1, for_update=lock)
        if found is None:
            raise not_found(plan, [given], self.dialect_of(plan))
        return found

    def extend(
        self, given: object, loads: Sequence[Any], only: Any, refresh: bool, params: Params, options: Options
    ) -> Any:
        """Load more relationships and columns onto objects of the caller. See :meth:`loadplan.Loader.extend`."""
        check_options(options)
        objects = read_objects(given, self.bind, loads)
        if objects is None:
            return []
        plan = extension(objects, loads, only)
        if objects.session is not None:
            check_attachable(plan, "extend")
        plan = self._in_fewest(plan, len(objects.objects))

        def prepare(compiled: Compiled[Any], tally: Tally) -> Work[None]:
            many, stored = by_ids(compiled), by_stored(compiled)
            bound = many.parameters(params)
            rows = {} if stored is None else dict(enumerate(map(stored.row_of, objects.objects)))
            known = {at: row for at, row in rows.items() if row is not None}
            others = {at: many.reader.read(each) for at, each in enumerate(objects.identities) if at not in known}
            classes = [*map(identity_class, objects.objects)] if has_concrete_classes(compiled) else None

            def of(places: Iterable[int]) -> Sequence[Any] | None:
                return None if classes is None else [classes[at] for at in places]

            def work(private: Opened) -> None:
                kept: Kept = []
                found: dict[int, Any] = {}
                if others:
                    roots = many.run(private, [*others.values()], bound, tally, kept, of(others))
                    found.update(zip(others, roots, strict=True))
                if stored is not None and known:
                    roots = stored.run(private, [*known.values()], bound, tally, kept, of(known))
                    found.update(zip(known, roots, strict=True))
                if missing := [at for at, root in found.items() if root is None]:
                    given = objects.objects
                    by_value = [given[at] for at in missing if at in others]
                    raise gone([given[at] for at in sorted(missing)], by_value, compiled.dialect)
                home = objects.home(stay_in(compiled), found, compiled.dialect)
                for made in kept:
                    settle(made, home, refresh=refresh)

            return work

        def executions(compiled: Compiled[Any]) -> int:
            return by_ids(compiled).executions(objects.identities)

        self.run(plan, prepare, options, roots=len(objects.objects), executions=executions)
        return objects.objects[0] if objects.is_one else list(objects.objects)

    def explain(
        self, plan: LoadPlan[Any] | type[Any], roots: int | None, call: Call, total: Total | None
    ) -> Explanation:
        """Return how a plan is loaded. See :meth:`loadplan.Loader.explain`."""
        if call != "extend":
            return super().explain(plan, roots, call, total)
        asked = extension_by(plan_itself(plan))
        many = by_ids(self.compiled(asked, self.private(), roots))
        explained = explain_plan(many.graph)
        if (plan := self._in_fewest(asked, roots)) is not asked:
            edges = explained.edges
            explained = explain_plan(by_ids(self.compiled(plan, self.private(), roots)).graph)
            edges = tuple(map(_with_reason, explained.edges, edges))
            explained = attrs.evolve(explained, edges=edges)
        if many.keys.as_arrays:
            return explained
        return attrs.evolve(explained, formula=f"{explained.formula}; 1 more for each further {CHUNK} objects")

    def _in_fewest(self, plan: LoadPlan[Any], roots: int | None) -> LoadPlan[Any]:
        """Return the plan of an extension, or an equivalent plan that takes fewer statements."""
        private = self.private()
        compiled = self.compiled(plan, private, roots)
        if not any(each.edge is not None and each.edge.owner is compiled.tree.root for each in compiled.later):
            return plan
        other = in_fewer_statements(plan)
        if other is None or len(self.compiled(other, private, roots).later) >= len(compiled.later):
            return plan
        return other


def _with_reason(edge: ExplainedEdge, by_itself: ExplainedEdge) -> ExplainedEdge:
    """Return an edge of an extension. If it joins only to save a statement, give this as its reason."""
    if edge.strategy == by_itself.strategy:
        return edge
    return attrs.evolve(edge, reason="joins the rows of the objects, which saves a statement")
