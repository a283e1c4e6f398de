"""A field with the name of a column, if the attribute has another name. For ``metadata`` this is the usual case."""

from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import LoadPlan, PlanError, source


class Base(DeclarativeBase):
    pass


class Paper(Base):
    __tablename__ = "papers"
    id: Mapped[int] = mapped_column(primary_key=True)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    _title: Mapped[str] = mapped_column("title")

    @property
    def title(self) -> str:
        return self._title.title()


@pytest.mark.parametrize(
    ("name", "attribute", "annotation"), [("metadata", "Paper.metadata_", Any), ("title", "Paper._title", str)]
)
def test_the_hint_names_the_attribute_of_the_column(name: str, attribute: str, annotation: Any) -> None:
    with pytest.raises(PlanError) as refused:
        LoadPlan(Paper, into=attrs.make_class("Card", {name: attrs.field(type=annotation)}))
    shown = "Any" if annotation is Any else "str"
    hint = f"the column of this name is mapped as '{attribute}': Annotated[{shown}, source({attribute})]."
    assert str(refused.value).endswith(f"hint: {hint}")
    written = eval(f"source({attribute})", {"source": source, "Paper": Paper})  # noqa: S307 - the hint is code
    LoadPlan(Paper, into=attrs.make_class("Card", {name: attrs.field(type=Annotated[annotation, written])}))
