"""A magazine and its response models for the tests of ``LoadPlan.for_schema``."""

import functools
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "sch_countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    anthem: Mapped[str]


class Writer(Base):
    __tablename__ = "sch_writers"
    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[str]
    last: Mapped[str]
    diary: Mapped[str]
    country_id: Mapped[int | None] = mapped_column(ForeignKey("sch_countries.id"))
    country: Mapped[Country | None] = relationship()
    articles: Mapped[list["Article"]] = relationship(back_populates="writer", order_by="Article.id")

    @hybrid_property
    def full(self) -> str:
        return self.first + " " + self.last

    @property
    def origin(self) -> str:
        return self.country.name if self.country is not None else "nowhere"

    @functools.cached_property
    def byline(self) -> str:
        return f"{self.full}, {self.origin}"


class Section(Base):
    __tablename__ = "sch_sections"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("sch_sections.id"))
    children: Mapped[list["Section"]] = relationship(order_by="Section.id")
    articles: Mapped[list["Article"]] = relationship(order_by="Article.id")


class Article(Base):
    __tablename__ = "sch_articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]
    writer_id: Mapped[int] = mapped_column(ForeignKey("sch_writers.id"))
    section_id: Mapped[int | None] = mapped_column(ForeignKey("sch_sections.id"))
    writer: Mapped[Writer] = relationship(back_populates="articles")
    media: Mapped[list["Medium"]] = relationship(order_by="Medium.id")
    captions: AssociationProxy[list[str]] = association_proxy("media", "caption")


class Medium(Base):
    __tablename__ = "sch_media"
    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("sch_articles.id"))
    kind: Mapped[str]
    caption: Mapped[str]
    __mapper_args__: dict[str, Any] = {"polymorphic_on": "kind", "polymorphic_identity": "medium"}


class Picture(Medium):
    width: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "picture"}


class Film(Medium):
    __tablename__ = "sch_films"
    id: Mapped[int] = mapped_column(ForeignKey("sch_media.id"), primary_key=True)
    seconds: Mapped[int]
    studio_id: Mapped[int | None] = mapped_column(ForeignKey("sch_countries.id"))
    studio: Mapped[Country | None] = relationship()
    __mapper_args__ = {"polymorphic_identity": "film"}


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class WriterOut(Out):
    id: int
    last: str


class ArticleOut(Out):
    id: int
    title: str
    writer: WriterOut


class Aliased(Out):
    headline: str = Field(validation_alias=AliasChoices("headline", "title"))
    text: str = Field(alias="body")
    country: str | None = Field(default=None, validation_alias=AliasPath("writer", "country", "name"))


class BylineOut(Out):
    full: str
    origin: str
    byline: str


class SectionOut(Out):
    title: str
    children: list["SectionOut"]
    articles: list[ArticleOut]


class PictureOut(Out):
    kind: str
    caption: str
    width: int


class FilmOut(Out):
    kind: str
    caption: str
    seconds: int
    studio: Any = None


class MediaOut(Out):
    title: str
    media: list[PictureOut | FilmOut]


def rows() -> list[Base]:
    """Writers 1 and 2, articles 11 to 13, a tree of sections 21 > 22 > 23, media on article 11."""
    sea = Country(id=1, name="Sealand", anthem="...")
    ann = Writer(id=1, first="Ann", last="Ash", diary="x", country=sea)
    ben = Writer(id=2, first="Ben", last="Box", diary="y")
    articles = [Article(id=11 + at, title=f"title {at}", body=f"body {at}", writer=ann) for at in (0, 1)]
    low = Section(id=23, title="low", articles=list(articles))
    top = Section(id=21, title="top", children=[Section(id=22, title="middle", children=[low])])
    articles.append(Article(id=13, title="title 2", body="body 2", writer=ben))
    articles[0].media = [
        Picture(id=31, caption="a wave", width=640),
        Film(id=32, caption="a storm", seconds=90, studio=sea),
    ]
    return [sea, ann, ben, top, *articles]
