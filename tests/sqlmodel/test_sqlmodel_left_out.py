"""A table model of which columns were left out is never written short, whoever writes it."""

import copy
import json
import pickle
from typing import Any, NoReturn

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel_models import ADA, Essay, Item, Shelf, Template, User, UserBase

from loadplan import Loader, LoadPlan, NotLoaded, load
from loadplan.errors import Problem
from loadplan.objects.left_out import AbsentValue, note_absent, note_present
from sqlmodel import SQLModel

USERS = TypeAdapter(list[User])
BASES = TypeAdapter(list[UserBase])
NAMES = LoadPlan(User, only=[User.email], name="names")
EMAIL = {"email": "ada@example.org"}


@pytest.fixture
async def partial(template: AsyncEngine) -> User:
    """A user of whom the email is loaded, and the key."""
    return await Loader(template).fetch(NAMES, ADA)


def test_dumps_raise(partial: User) -> None:
    for dump in (
        partial.model_dump,
        partial.model_dump_json,
        lambda: partial.model_dump(mode="json"),
        lambda: partial.model_dump_json(indent=2),
        lambda: partial.model_dump(exclude_none=True),
        lambda: partial.model_dump(include={"full_name"}),
        lambda: partial.model_dump_json(exclude={"full_name"}),
        lambda: USERS.dump_python([partial]),
        lambda: BASES.dump_python([partial]),
        lambda: Shelf.model_construct(users=[partial]).model_dump(),
    ):
        with pytest.raises(NotLoaded, match="is not part of plan 'names'"):
            dump()


def test_errors_on_the_way_to_json_keep_the_text(partial: User) -> None:
    """Pydantic makes an error of its own of every error of a nested value, and keeps the text."""
    for dump in (lambda: USERS.dump_json([partial]), Shelf.model_construct(users=[partial]).model_dump_json):
        with pytest.raises(PydanticSerializationError, match=r"NotLoaded: LP401: 'User.*' is not part of plan 'names'"):
            dump()


def test_what_is_asked_for_and_loaded_is_written(partial: User) -> None:
    left_out = {"is_active", "full_name", "hashed_password"}
    assert partial.model_dump(include={"email"}) == EMAIL
    assert partial.model_dump(exclude={*left_out, "id"}) == EMAIL
    assert json.loads(partial.model_dump_json(include={"email"})) == EMAIL
    assert USERS.dump_python([partial], include={"__all__": {"email"}}) == [EMAIL]
    assert Shelf.model_construct(users=[partial]).model_dump(exclude={"users": {"__all__": left_out | {"id"}}}) == {
        "users": [EMAIL]
    }


def test_nobody_else_finds_an_entry(partial: User) -> None:
    assert set(partial.__dict__) >= {"email", "id"}
    for name in ("is_active", "full_name", "hashed_password"):
        assert name not in partial.__dict__
        with pytest.raises(NotLoaded):
            getattr(partial, name)
    assert inspect(partial).unloaded == {"is_active", "full_name", "hashed_password", "items"}
    assert not inspect(partial).modified
    assert "full_name=<not loaded>" in repr(partial)
    assert partial == partial


@pytest.mark.parametrize(
    "again", [lambda each: pickle.loads(pickle.dumps(each)), copy.deepcopy], ids=["pickle", "copy"]
)
async def test_copies_are_not_written_short_either(template: AsyncEngine, again: Any) -> None:
    users = again(await Loader(template).fetch_all(NAMES, order_by=User.email))
    assert [each.email for each in users] == ["ada@example.org", "bob@example.org"]
    for each in users:
        with pytest.raises(NotLoaded, match="names"):
            each.model_dump()
        with pytest.raises(NotLoaded, match="names"):
            _ = each.full_name
        assert inspect(each).unloaded == {"is_active", "full_name", "hashed_password", "items"}


async def test_a_value_that_comes_later_is_written(template: AsyncEngine, partial: User) -> None:
    partial.full_name = "Countess"
    with pytest.raises(NotLoaded, match=r"User\.is_active"):
        partial.model_dump(exclude={"hashed_password"})
    partial.is_active = True
    assert partial.model_dump(exclude={"hashed_password", "id"}) == {
        "email": "ada@example.org", "full_name": "Countess", "is_active": True
    }  # fmt: skip
    async with AsyncSession(template) as session:
        session.add(partial)
        await session.commit()
        await session.refresh(partial)
        whole = {**EMAIL, "id": ADA, "full_name": "Countess", "is_active": True, "hashed_password": "x"}
        assert partial.model_dump() == whole
        assert USERS.dump_python([partial]) == [whole]
        assert json.loads(partial.model_dump_json())["hashed_password"] == "x"


async def test_one_row_by_two_paths_has_what_both_load(template: AsyncEngine) -> None:
    """The outermost place has the say, and what came by another path is there all the same."""
    plan = LoadPlan(User, load(User.items, load(Item.owner, only=[User.full_name])), only=[User.email])
    user = await Loader(template).fetch(plan, ADA)
    assert user.items[0].owner is user
    loaded = {"id", "email", "full_name"} & set(user.__dict__)
    assert set(user.model_dump(include=loaded)) == loaded
    with pytest.raises(NotLoaded):
        user.model_dump()


async def test_columns_that_the_mapping_defers(league: AsyncEngine) -> None:
    essay = await Loader(league).fetch(LoadPlan(Essay, name="essay"), 1)
    with pytest.raises(NotLoaded, match="the mapping defers this column"):
        essay.model_dump()
    whole = await Loader(league).fetch(LoadPlan(Essay, only=[Essay.title, Essay.text]), 1)
    assert whole.model_dump() == {"id": 1, "title": "t", "text": "body"}


async def test_whole_models_are_written_as_ever(template: AsyncEngine) -> None:
    user = await Loader(template).fetch(LoadPlan(User), ADA)
    assert set(user.model_dump()) == {"id", "email", "full_name", "is_active", "hashed_password"}
    assert set(user.__dict__) == {*user.model_dump(), "_sa_instance_state"}


# --- over HTTP ------------------------------------------------------------------------------------------------------


def application(engine: AsyncEngine) -> FastAPI:
    """Routes that are there before any plan is: the serializers are compiled by then."""
    app = FastAPI()
    plans: dict[str, LoadPlan[User]] = {}

    async def show(plan: str) -> Any:
        if not plans:
            plans["names"] = LoadPlan(User, only=[User.email], name="names")
            plans["whole"] = LoadPlan(User, name="whole")
        return await Loader(engine).fetch(plans[plan], ADA)

    async def show_all(plan: str) -> Any:
        return [await show(plan)]

    app.get("/model/{plan}", response_model=User)(show)
    app.get("/base/{plan}", response_model=UserBase)(show)
    app.get("/list/{plan}", response_model=list[User])(show_all)
    app.get("/without/{plan}", response_model=None)(show)
    app.get("/some/{plan}", response_model=User, response_model_include={"email"})(show)
    return app


@pytest.mark.parametrize("path", ["model", "base", "list", "without"])
async def test_fastapi_answers_with_an_error(template: AsyncEngine, path: str) -> None:
    transport = httpx.ASGITransport(application(template))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(Exception, match="is not part of plan 'names'"):
            await client.get(f"/{path}/names")
        assert (await client.get(f"/{path}/whole")).status_code == 200
    transport = httpx.ASGITransport(application(template), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get(f"/{path}/names")).status_code == 500


async def test_fastapi_answers_with_what_is_asked_for(template: AsyncEngine) -> None:
    transport = httpx.ASGITransport(application(template))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/some/names")).json() == EMAIL


class Refusing:
    def refuse(self) -> NoReturn:
        raise NotLoaded(Problem("LP401", "gone"))


def test_instances_that_no_constructor_made() -> None:
    """``cls.__new__``, a filled ``__dict__`` and a state are all that an object needs."""
    user = User.__new__(User)
    inspect(User).class_manager.setup_instance(user)
    user.__dict__.update(id=ADA, email="a")
    note_absent(user, {name: AbsentValue(Refusing()) for name in ("full_name", "is_active", "hashed_password")})
    with pytest.raises(NotLoaded, match="gone"):
        user.model_dump()
    later = {"full_name": None, "is_active": True, "hashed_password": "x"}
    user.__dict__.update(later)
    note_present(user)
    assert user.model_dump() == {"id": ADA, "email": "a", **later}


def test_the_applications_have_their_own_metadata() -> None:
    assert not set(Template.metadata.tables) & set(SQLModel.metadata.tables)
