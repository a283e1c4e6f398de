"""An association proxy in ``load(...)`` is refused. The hint has the relationships that it reads."""

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, PlanError, load


class Base(DeclarativeBase):
    pass


class Song(Base):
    __tablename__ = "songs"
    id: Mapped[int] = mapped_column(primary_key=True)


class Track(Base):
    __tablename__ = "tracks"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    song_id: Mapped[int] = mapped_column(ForeignKey("songs.id"))
    album_id: Mapped[int] = mapped_column(ForeignKey("albums.id"))
    song: Mapped[Song] = relationship()


class Album(Base):
    __tablename__ = "albums"
    id: Mapped[int] = mapped_column(primary_key=True)
    tracks: Mapped[list[Track]] = relationship()
    songs: AssociationProxy[list[Song]] = association_proxy("tracks", "song")
    titles: AssociationProxy[list[str]] = association_proxy("tracks", "title")


@pytest.mark.parametrize(
    ("name", "code"), [("songs", "load(Album.tracks, load(Track.song))"), ("titles", "load(Album.tracks)")]
)
def test_the_hint_has_the_relationships_behind_a_proxy(name: str, code: str) -> None:
    with pytest.raises(PlanError) as refused:
        LoadPlan(Album, load(getattr(Album, name)))
    assert str(refused.value).endswith(f"hint: write {code}.")
    LoadPlan(Album, eval(code, {"load": load, "Album": Album, "Track": Track}))  # noqa: S307 - the hint is code
