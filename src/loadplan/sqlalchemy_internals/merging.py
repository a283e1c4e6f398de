"""A check of all objects that ``Session.merge`` reaches, before the merge writes anything."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sqlalchemy.orm import (
    InstanceState,
    LoaderCallableStatus,
    PassiveFlag,
    RelationshipProperty,
)
from sqlalchemy.orm.attributes import History, instance_dict, instance_state

from loadplan.sqlalchemy_internals.collections import items_of

#: The state of an object and its ``__dict__``. If a shallow copy outlives its original, only both together are
#: complete.
Held: TypeAlias = tuple[InstanceState[Any], Mapping[str, Any]]


def history_of(held: Held, key: str) -> History:
    """Return the changes of an attribute since it was loaded, without loading it.

    The public ``get_history`` reads the state's object. A shallow copy shares its state with the original, so that may
    be the wrong object.
    """
    state, values = held
    impl: Any = state.manager[key].impl
    found: History = impl.get_history(state, values, PassiveFlag.PASSIVE_NO_INITIALIZE)
    return found


#: The key under which the guards of one merge keep their entry in the dictionary of ``Session.merge``.
_CHECKED = "loadplan"


def guard_merge(
    prop: RelationshipProperty[Any],
    check: Callable[[Iterable[tuple[Held, RelationshipProperty[Any]]]], None],
    compare: Callable[[Held, RelationshipProperty[Any], Held], None],
) -> None:
    """Make a merge call ``check`` and ``compare`` before it replaces the value of a relationship.

    ``MapperProperty.merge`` is documented, but there is no hook that runs before it. Its sixth argument has the states
    that one merge has seen, and pairs of a state and the relationship that led to it. A merge goes through the
    relationships of an object before its columns. So the whole graph is checked before anything is written.

    Args:
        prop: the relationship.
        check: is called once, with every object and relationship that the merge will follow.
        compare: is called with one object and with the session's object. It loads the value of the latter if needed, as
            ``merge`` does.
    """
    if "merge" in vars(prop):
        return
    merge = prop.merge

    def guarded(session: Any, state: Any, values: Any, into: Any, its: Any, load: bool, seen: Any, *rest: Any) -> None:
        check(_merged_from((state, values), seen, load=load))
        is_back = load and any((state, each) in seen for each in prop._reverse_property)
        if load and prop.key in values and not is_back and into is not state:
            compare((state, values), prop, (into, its))
        merge(session, state, values, into, its, load, seen, *rest)

    vars(prop)["merge"] = guarded


def value_to_merge_into(held: Held, key: str) -> Any:
    """Return the value that a relationship has on the session's object.

    Loads it as ``RelationshipProperty.merge`` does.
    """
    state, values = held
    impl: Any = state.manager[key].impl
    found = impl.get(state, values, passive=PassiveFlag.PASSIVE_OFF | PassiveFlag.NO_RAISE)
    return None if isinstance(found, LoaderCallableStatus) else found


def _merged_from(start: Held, seen: dict[Any, Any], *, load: bool) -> Iterator[tuple[Held, RelationshipProperty[Any]]]:
    """Yield each object that a merge reaches, with each of its relationships that the merge follows.

    Each pair comes once.

    Like ``RelationshipProperty.merge``, it does not go back over ``_reverse_property``, the other side of a pair.
    """
    led, met = seen.setdefault(_CHECKED, (set(), set()))
    if start[0] in met:
        return

    def follow(held: Held) -> Iterator[tuple[Held, RelationshipProperty[Any] | None]]:
        """Yield the relationships of an object, each followed by the relationships of its objects."""
        state, values = held
        met.add(state)
        for prop in state.mapper.relationships:
            back: Any = prop._reverse_property if load else ()
            if prop.key not in values or not prop.cascade.merge:
                continue
            if any((state, each) in led or (state, each) in seen for each in back):
                continue
            yield held, prop
            for item in items_of(prop, values[prop.key]):
                below = instance_state(item)
                led.add((below, prop))
                if below not in met and below not in seen:
                    yield (below, instance_dict(item)), None

    waiting = [follow(start)]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        held, prop = found
        if prop is None:
            waiting.append(follow(held))
        else:
            yield held, prop
