"""Where plans and session factories are looked for."""

import importlib
import types
from pathlib import Path

import pytest
import tools_models
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker
from sqlalchemy.orm import scoped_session, sessionmaker

from loadplan import LoadPlan, PlanError
from loadplan.audit import audit
from loadplan.tools.audit.expiring import session_findings
from loadplan.tools.connecting import DatabaseError, url_of
from loadplan.tools.targets import TargetError, import_by_name, plans_in, spot_of


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


def test_plans_within_containers_of_containers() -> None:
    plans = [LoadPlan(tools_models.Tag, name=str(number)) for number in range(3)]

    class Repository:
        PLANS = {"page": [plans[1]]}

    Repository.__module__ = "made"
    loop: list[object] = [plans[2]]
    loop.append(loop)
    found = plans_in([module(BY_KIND={"a": [{"list": plans[0]}]}, Repository=Repository, LOOP=loop)])
    assert [(each.where, each.plan.name) for each in found] == [
        ("made:BY_KIND['a'][0]['list']", "0"),
        ("made:Repository.PLANS['page'][0]", "1"),
        ("made:LOOP[0]", "2"),
    ]


def test_a_module_of_a_session_factory_alone_can_be_audited() -> None:
    """Also if there is nothing to say of the factory."""
    assert audit(module(sessions=async_sessionmaker(expire_on_commit=False))).findings == ()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("$DATABASE_URL", 'your shell did not replace $DATABASE_URL: write "$DATABASE_URL", with double quotes.'),
        ("", "the URL is empty: set the environment variable that you named."),
        ("localhost", "write postgresql://user:password@host/name, for example."),
    ],
)
def test_what_is_not_the_url_of_a_database(given: str, hint: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        url_of(given)
    assert str(caught.value) == f"this is not the URL of a database\n  hint: {hint}"


def test_a_module_is_asked_for_and_a_plan_is_named() -> None:
    with pytest.raises(TargetError) as caught:
        import_by_name("shop.plans:ORDER_PAGE")
    assert str(caught.value) == (
        "'shop.plans:ORDER_PAGE' is not the name of a module\n"
        "  hint: write the module alone: shop.plans. For one plan, run loadplan explain shop.plans:ORDER_PAGE."
    )


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
