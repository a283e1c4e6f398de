"""Histories: a plan, where it is fetched, what is changed on its objects, and how they go back into a session."""

import random
from collections.abc import Iterator
from typing import Any, Literal

import attrs
from history_models import CLASSES, Task, Team
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from loadplan import Load, LoadPlan, load

Identity = tuple[type[Any], int]
Way = Literal["add, then change", "change, then add", "merge", "delete", "add, then delete"]

WAYS: tuple[Way, ...] = ("add, then change", "change, then add", "merge", "delete", "add, then delete")


@attrs.frozen
class History:
    """What is drawn before anything is fetched.

    Attributes:
        plan: of tasks, or of teams with their tasks.
        ids: of the roots.
        hides: classes whose marked rows the session hides that fetches.
        writes_filtered: whether the session that writes hides them as well.
        travel: how the objects get from one session to the other.
        way: how they go back in.
    """

    plan: LoadPlan[Any]
    ids: list[int]
    hides: tuple[type[Any], ...]
    writes_filtered: bool
    travel: Literal["as they are", "pickled", "copied"]
    way: Way

    @property
    def is_whole(self) -> bool:
        """Whether nobody hides anything, and the plan leaves nothing out."""
        return not self.hides and "where=" not in repr(self.plan) and "limit=" not in repr(self.plan)


def random_history(chance: random.Random) -> History:
    root = chance.choice([Task, Task, Team])
    hides = tuple(each for each in CLASSES if chance.random() < 0.5) if chance.random() < 0.6 else ()
    way = chance.choice(WAYS)
    return History(
        plan=LoadPlan(root, *random_loads(chance, root, 3, ()), name="history"),
        ids=chance.sample([1, 2, 3, 4] if root is Task else [1, 2], chance.choice([1, 2])),
        hides=hides,
        writes_filtered=bool(hides) and "delete" not in way and chance.random() < 0.4,
        travel=chance.choice(["as they are", "as they are", "pickled", "copied"]),
        way=way,
    )


def random_loads(chance: random.Random, kind: type[Any], depth: int, above: tuple[Any, ...]) -> Iterator[Load]:
    """Yield loads below a class, not back to where it came from."""
    for prop in inspect(kind).relationships:
        if depth == 0 or prop.back_populates in above or chance.random() < 0.45:
            continue
        target = prop.mapper.class_
        shape: dict[str, Any] = {}
        if chance.random() < 0.25:
            shape["where"] = chance.choice([target.gone.is_(False), target.id > 2])
        if prop.uselist and chance.random() < 0.2:
            shape |= {"limit": chance.choice([1, 2, 9]), "order_by": target.id}
        if chance.random() < 0.2:
            shape["only"] = [target.name]
        below = random_loads(chance, target, depth - 1, (prop.key,))
        yield load(getattr(kind, prop.key), *below, **shape)


@attrs.frozen
class Step:
    """One change, told by identities: it can be done to any objects of these rows.

    Attributes:
        word: ``"name"``, ``"remove"``, ``"append"`` or ``"set"``.
        owner: whose attribute it is.
        key: of the attribute.
        value: a text, the identity of an object, or of a new one, or None.
    """

    word: str
    owner: Identity
    key: str
    value: Any = None

    @property
    def loses(self) -> bool:
        """Whether a flush may delete something for it."""
        return self.word != "name"


@attrs.define
class Objects:
    """Objects by identity: those of a graph, or those of a session. New ones are made when they are first named."""

    known: dict[Identity, Any] = attrs.field(factory=dict)
    session: Session | None = None

    def get(self, wanted: Identity) -> Any:
        if wanted not in self.known:
            kind, key = wanted
            found = None if self.session is None else self.session.get(kind, key)
            self.known[wanted] = kind(id=key, name="new", gone=False) if found is None else found
        return self.known[wanted]

    def apply(self, step: Step) -> None:
        owner = self.get(step.owner)
        value = self.get(step.value) if isinstance(step.value, tuple) else step.value
        if step.word == "remove":
            getattr(owner, step.key).remove(value)
        elif step.word == "append":
            getattr(owner, step.key).append(value)
        else:
            setattr(owner, step.key, value)


def graph_of(roots: list[Any]) -> dict[Identity, Any]:
    """Return all objects of a graph by identity."""
    found: dict[Identity, Any] = {}
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        name = (type(each), each.id)
        if name in found:
            continue
        found[name] = each
        for key in inspect(type(each)).relationships.keys() & vars(each).keys():
            value = vars(each)[key]
            waiting += value if isinstance(value, list) else [] if value is None else [value]
    return found


def random_steps(chance: random.Random, graph: dict[Identity, Any], *, harmless: bool) -> list[Step]:
    """Return changes of what a graph shows, at most one of each relationship of an object, and of each child."""
    steps: list[Step] = []
    moved: set[Any] = set()
    names = sorted(graph, key=lambda each: (each[0].__name__, each[1]))
    for _ in range(chance.choice([1, 1, 2, 4])):
        owner = chance.choice(names)
        entity = graph[owner]
        shown = sorted(inspect(type(entity)).relationships.keys() & vars(entity).keys())
        key = chance.choice([*shown, "name"])
        if harmless or key == "name" or (owner, key) in moved:
            if "name" in vars(entity):
                steps.append(Step("name", owner, "name", chance.choice(["a", "b"])))
            continue
        prop = inspect(type(entity)).relationships[key]
        target, value = prop.mapper.class_, vars(entity)[key]
        new = (target, 100 + len(steps))
        if prop.uselist:
            there = [(target, each.id) for each in value]
            picked = [each for each in there if each not in moved]
            word = chance.choice(["remove", "append", "replace"])
            removed = picked if word == "replace" else picked[:1] if word == "remove" else []
            steps += [Step("remove", owner, key, each) for each in removed]
            moved.update(removed)
            if word != "remove":
                steps.append(Step("append", owner, key, new))
        elif prop.back_populates is None:
            others = [each for each in names if each[0] is target] if not prop.cascade.delete_orphan else []
            nothing = [] if value is None else [None]  # None over a hidden row is no change, and changes nothing
            steps.append(Step("set", owner, key, chance.choice([*nothing, new, *others])))
        moved.add((owner, key))
    return steps
