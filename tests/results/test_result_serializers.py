"""Serializers and printers: pydantic, dataclass reprs; what is not loaded is an error there, never a default."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from results_models import BRIEF, FORUM, TOPICS
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording, tables


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LabelOut(Out):
    name: str


class TopicOut(Out):
    id: int
    title: str
    labels: list[LabelOut]


class MemberOut(Out):
    name: str
    topics: list[TopicOut]


class OptionalOut(Out):
    """Defaults are what an AttributeError would be taken for."""

    name: str
    email: str = "unknown"
    topics: list[Any] = []


async def test_pydantic_reads_what_is_loaded(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    with recording(forum) as statements:
        out = MemberOut.model_validate(member)
    assert statements == []
    assert out.model_dump() == {
        "name": "Ann",
        "topics": [
            {"id": 11, "title": "one", "labels": [{"name": "red"}, {"name": "blue"}]},
            {"id": 12, "title": "two", "labels": [{"name": "blue"}]},
        ],
    }


@pytest.mark.parametrize("plan", [BRIEF, TOPICS], ids=lambda plan: plan.label)
@pytest.mark.parametrize("schema", [MemberOut, OptionalOut])
async def test_pydantic_is_told_what_is_not(forum: AsyncEngine, plan: LoadPlan[Any], schema: type[Out]) -> None:
    member = await Loader(forum).fetch(plan, 1)
    if plan is TOPICS and schema is OptionalOut:
        assert OptionalOut.model_validate(member).email == "nobody@example.org"
        return
    with recording(forum) as statements, pytest.raises((ValidationError, NotLoaded)) as caught:
        schema.model_validate(member)
    assert statements == []
    assert "LP401" in str(caught.value)


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Box(Base):
    __tablename__ = "res_dc_boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[str] = mapped_column(default="", deferred=True)
    things: Mapped[list["Thing"]] = relationship(default_factory=list, back_populates="box", order_by="Thing.id")


class Thing(Base):
    __tablename__ = "res_dc_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("res_dc_boxes.id"), init=False)
    box: Mapped[Box] = relationship(back_populates="things", repr=False)


@pytest.fixture
async def boxes(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            box = Box(id=1, name="big", note="n")
            session.add_all([box, Thing(id=1, box=box), Thing(id=2, box=box)])
            await session.commit()
        yield engine


WHOLE_BOX = LoadPlan(Box, load(Box.things), only=[Box.name, Box.note], name="box")


async def test_the_repr_of_a_dataclass_shows_what_is_loaded(boxes: AsyncEngine) -> None:
    box = await Loader(boxes).fetch(WHOLE_BOX, 1)
    with recording(boxes) as statements:
        assert repr(box) == "Box(id=1, name='big', note='n', things=[Thing(id=1, box_id=1), Thing(id=2, box_id=1)])"
    assert statements == []


async def test_the_repr_of_a_dataclass_says_what_is_not(boxes: AsyncEngine) -> None:
    box = await Loader(boxes).fetch(LoadPlan(Box, name="bare"), 1)
    with recording(boxes) as statements:
        with pytest.raises(NotLoaded) as caught:
            repr(box)
        assert str(caught.value) == (
            "LP401: 'Box.note' is not part of plan 'bare' (at its root)\n"
            "  hint: the dataclass generated __repr__, which reads every field: map 'note' as mapped_column(repr=False)"
        )
        with pytest.raises(NotLoaded):
            dataclasses.asdict(box)
    assert statements == []
    assert {field.name for field in dataclasses.fields(box)} == {"id", "name", "note", "things"}


async def test_dataclasses_as_dict(boxes: AsyncEngine) -> None:
    """asdict() copies what is no dataclass itself and descends into what is."""
    thing = await Loader(boxes).fetch(LoadPlan(Thing, load(Thing.box, load(Box.things), only=[Box.name, Box.note])), 1)
    with recording(boxes) as statements:
        assert thing.box.name == "big"
        assert [each.id for each in thing.box.things] == [1, 2]
        assert thing.box.things[0] is thing
        assert repr(thing) == "Thing(id=1, box_id=1)"
    assert statements == []


async def test_dataclasses_go_back_into_a_session(boxes: AsyncEngine) -> None:
    box = await Loader(boxes).fetch(WHOLE_BOX, 1)
    box.things.append(Thing(id=3, box=box))
    async with AsyncSession(boxes) as session:
        session.add(box)
        await session.commit()
    assert len((await Loader(boxes).fetch(WHOLE_BOX, 1)).things) == 3
