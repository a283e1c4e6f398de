"""Where plans and session factories are looked for."""

import importlib
import types
from pathlib import Path

import pytest
import tools_models
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker
from sqlalchemy.orm import scoped_session, sessionmaker

from loadplan import LoadPlan, PlanError
from loadplan.tools.audit.expiring import session_findings
from loadplan.tools.targets import plans_in, spot_of


class OutsideOfARequest:
    """A proxy as web frameworks have it: it raises for whatever it is asked."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("working outside of a request")


def module(**names: object) -> types.ModuleType:
    made = types.ModuleType("made")
    vars(made).update(names)
    return made


def test_every_plan_is_found_once_and_by_its_first_name() -> None:
    """Constants, members of collections, class attributes; not what a class of another module has."""
    plans = [LoadPlan(tools_models.Tag, name=str(number)) for number in range(6)]

    class Repository:
        PLAN = plans[3]

    Repository.__module__ = "made"
    found = plans_in(
        [
            module(
                ONE=plans[0],
                AGAIN=plans[0],
                LIST=[plans[1], "other"],
                BY_NAME={"a": plans[2], ("b", 1): plans[4]},
                SET=frozenset({plans[5]}),
                Repository=Repository,
                proxy=OutsideOfARequest(),
            ),
            module(IMPORTED=plans[1]),
        ]
    )
    assert [(each.where, each.plan.name) for each in found] == [
        ("made:ONE", "0"),
        ("made:LIST[0]", "1"),
        ("made:BY_NAME['a']", "2"),
        ("made:BY_NAME[('b', 1)]", "4"),
        ("made:SET", "5"),
        ("made:Repository.PLAN", "3"),
    ]


def test_session_factories_behind_scoped_sessions() -> None:
    """Each factory once, and none that lets its objects be."""
    factory = async_sessionmaker()
    names = {
        "sessions": factory,
        "scoped": async_scoped_session(factory, scopefunc=lambda: 1),
        "other": async_scoped_session(async_sessionmaker(), scopefunc=lambda: 1),
        "synchronous": scoped_session(sessionmaker()),
        "fine": async_sessionmaker(expire_on_commit=False),
        "proxy": OutsideOfARequest(),
    }
    found = list(session_findings([module(**names)]))
    assert [(each.severity.value, each.subject) for each in found] == [
        ("risk", "made:sessions"),
        ("risk", "made:other"),
        ("note", "made:synchronous"),
    ]


def test_a_plan_that_breaks_an_import_is_named_by_the_line_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a line of loadplan, also where loadplan is installed from its sources."""
    lines = ["import tools_models", "from loadplan import LoadPlan, load", "", "LoadPlan(tools_models.Tag, load('x'))"]
    (tmp_path / "broken_by_a_plan.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError) as caught:
        importlib.import_module("broken_by_a_plan")
    assert spot_of(caught.value) == ("broken_by_a_plan.py", 4)
