"""Narrows a compiled graph to roots by key: one, many, or the rows of objects that were loaded before."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from loadplan.mapped.repeats import may_be_null_in_key
from loadplan.mapped.telling import has_hash
from loadplan.running.answers import asking
from loadplan.running.graph import identity_class, load_by_identity, load_roots
from loadplan.running.identity import Identity, IdentityReader, read_each
from loadplan.running.making import Kept
from loadplan.running.own_connection import Opened
from loadplan.running.plans import Compiled
from loadplan.running.root_keys import RootKeys, root_keys
from loadplan.running.roots import parameters_of, root_key
from loadplan.running.tally import Tally
from loadplan.sqlalchemy_internals import stored_key
from loadplan.statements.keys import CHUNK, Keys, keys_of, type_of_keys


@attrs.frozen(eq=False)
class ById:
    """A graph narrowed to one root by primary key. Its statement is the same for every id."""

    graph: Compiled[Any]
    reader: IdentityReader

    def bind(self, given: object) -> dict[str, Any]:
        """Return the parameters for an id.

        Raises:
            IdentityError: LP404, the value cannot be the key.
        """
        return {f"loadplan_id_{index}": value for index, value in enumerate(self.reader.read(given))}

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return parameters_of(self.graph, (), given)


@attrs.frozen(eq=False)
class ByIds:
    """A graph narrowed to many roots by primary key."""

    compiled: Compiled[Any]
    graph: Compiled[Any]
    reader: IdentityReader
    keys: Keys
    root_keys: RootKeys

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return parameters_of(self.graph, (), given)

    def executions(self, asked: Sequence[object]) -> int:
        """Return the largest number of statements for the roots.

        Each chunk of ids takes one or two, and each id with NULL takes one.
        """
        chunks = 1 if self.keys.as_arrays else -(-len(asked) // CHUNK)
        with_null = sum(map(_has_null, read_each(asked, self.reader.read))) if self.reader.partial else 0
        return with_null + (chunks if self.reader.exact else 2 * chunks)

    def run(
        self,
        session: Opened,
        asked: Sequence[Identity],
        parameters: Mapping[str, Any],
        tally: Tally,
        kept: Kept | None = None,
        classes: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Return, for each id, its root or None. Equal ids share one root.

        The ids go in chunks, each as large as the database allows.

        Args:
            session: the private session of this call.
            asked: the ids.
            parameters: the parameters of the plan's conditions.
            tally: counts rows and statements.
            kept: see :func:`~loadplan.running.graph.load_roots`.
            classes: for each id, the class of its entity, where concrete classes share ids.
        """
        named = [()] * len(asked) if classes is None else [(each,) for each in classes]
        places = _places([(*name, *each) for name, each in zip(named, asked, strict=True)])
        distinct = {place: identity for identity, place in zip(asked, places, strict=True)}
        whole = {place: each for place, each in distinct.items() if not _has_null(each)}
        executions = _executions(self.keys, [*whole.values()], parameters)
        by_value, by_mark = load_by_identity(
            self.graph, session, executions, self.root_keys, tally, kept, with_class=classes is not None
        )
        found: dict[int, Any] = {}
        one = by_id(self.compiled)
        for place in (each for each in distinct if each not in whole):  # in a list, a key with NULL equals nothing
            bound = {f"loadplan_id_{index}": value for index, value in enumerate(distinct[place])}
            for root in load_roots(one.graph, session, [{**parameters, **bound}], tally, kept=kept):
                if classes is None or identity_class(root) is classes[place]:
                    found[place] = root
        missing = []
        for place, identity in whole.items():
            key = (*named[place], *self.root_keys.mark(identity)) if has_hash(identity) else None
            root = None if key is None else by_value.get(key)
            if root is None:
                missing.append(place)
            else:
                found[place] = root
        if by_mark and missing and not self.reader.exact:
            for number, *mark in self._answers(session, [whole[each] for each in missing], tally):
                place = missing[number]
                if (root := by_mark.get((*named[place], *self.root_keys.mark(mark)))) is not None:
                    found[place] = root
        return [found.get(place) for place in places]

    def _answers(self, session: Opened, missing: Sequence[Identity], tally: Tally) -> Iterator[Any]:
        """Yield (index of the id, mark of the row) for each id that equals a key in the database, but not in Python."""
        mapper, keys = self.compiled.mapper, self.root_keys
        for statement, values, read in asking(self.keys, keys.told, missing):
            tally.sent(mapper.class_.__name__)
            if isinstance(session, Session):
                result = session.execute(statement, values, bind_arguments={"mapper": mapper})
            else:
                result = session.connection({}).execute(statement, values)
            yield from read(tally.counted(result.all(), mapper.class_.__name__))


@attrs.frozen(eq=False)
class ByStored:
    """A graph narrowed to the rows of objects that were loaded before, by the stored values of their keys."""

    graph: Compiled[Any]
    keys: Keys
    root_keys: RootKeys

    def row_of(self, entity: Any) -> tuple[Any, ...] | None:
        """Return an object's values of the columns that tell the roots apart; None if it does not know all of them."""
        state: Any = instance_state(entity)
        stored = stored_key(state)
        if stored is None or any(value is None for value in stored):
            return None
        return *state.identity, *stored

    def run(
        self,
        session: Opened,
        rows: Sequence[tuple[Any, ...]],
        parameters: Mapping[str, Any],
        tally: Tally,
        kept: Kept,
        classes: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Return, for each of ``rows``, its root or None. For ``classes``, see :meth:`ByIds.run`."""
        marks = [self.root_keys.mark_of(row) for row in rows]
        bound = {mark: self.root_keys.bound_of(row) for mark, row in zip(marks, rows, strict=True)}
        executions = _executions(self.keys, [*bound.values()], parameters)
        _, by_mark = load_by_identity(
            self.graph, session, executions, self.root_keys, tally, kept, with_class=classes is not None
        )
        if classes is None:
            return [by_mark.get(mark) for mark in marks]
        return [by_mark.get((cls, *mark)) for cls, mark in zip(classes, marks, strict=True)]


def by_stored(compiled: Compiled[Any]) -> ByStored | None:
    """Return a graph narrowed to the rows of objects; None if Python can compare their keys themselves.

    Later calls for the graph return the same value.
    """
    if "by stored" not in compiled.variants:
        told = root_keys(compiled.tree.root.entity, compiled.mapper, compiled.dialect)
        found = None
        if not told.by_value:
            keys = keys_of(told.asked, compiled.dialect)
            graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
            found = ByStored(graph, keys, told)
        compiled.variants["by stored"] = found
    answer: ByStored | None = compiled.variants["by stored"]
    return answer


def _executions(keys: Keys, rows: Sequence[Identity], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each execution of a statement that is narrowed to keys."""
    values: Sequence[Any] = [each[0] for each in rows] if keys.width == 1 else rows
    return [{**parameters, **bound} for bound in (keys.bind(values) if values else ())]


def _places(asked: Sequence[Identity]) -> list[int]:
    """Return, for each id, the index of the first id that is equal to it."""
    first: dict[Any, int] = {}
    try:
        return [first.setdefault(each, at) for at, each in enumerate(asked)]
    except Exception:  # an id has no hash, or its class raises another error
        return [first.setdefault(each, at) if has_hash(each) else at for at, each in enumerate(asked)]


def _has_null(identity: Identity) -> bool:
    """Tell whether a part of a key is NULL. The other parts may be values that Python cannot compare."""
    return any(value is None for value in identity)


def by_id(compiled: Compiled[Any]) -> ById:
    """Return a graph narrowed to one root. Later calls for the graph return the same value."""
    found: ById | None = compiled.variants.get("by id")
    if found is None:
        mapper, conditions = compiled.mapper, list[ColumnElement[bool]]()
        for index, column in enumerate(root_key(mapper)):
            given = bindparam(f"loadplan_id_{index}", type_=type_of_keys(column.type, compiled.dialect))
            is_solid = not may_be_null_in_key(mapper, column.key)
            conditions.append(column == given if is_solid else column.is_not_distinct_from(given))
        graph = compiled.narrowed(lambda statement: statement.where(*conditions))
        found = compiled.variants["by id"] = ById(graph, _reader(compiled))
    return found


def by_ids(compiled: Compiled[Any]) -> ByIds:
    """Return a graph narrowed to many roots. Later calls for the graph return the same value."""
    found: ByIds | None = compiled.variants.get("by ids")
    if found is None:
        keys = keys_of(root_key(compiled.mapper), compiled.dialect)
        graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
        told = root_keys(compiled.tree.root.entity, compiled.mapper, compiled.dialect)
        found = compiled.variants["by ids"] = ByIds(compiled, graph, _reader(compiled), keys, told)
    return found


def _reader(compiled: Compiled[Any]) -> IdentityReader:
    return IdentityReader(compiled.mapper, compiled.tree.label, compiled.dialect)
