"""``assert_plan``: what it accepts, and what its failures say."""

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load
from loadplan.pytest_plugin import assert_plan


class Base(DeclarativeBase):
    """Two classes."""


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    players: Mapped[list["Player"]] = relationship(back_populates="team")


class Player(Base):
    __tablename__ = "player"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team] = relationship(back_populates="players")


PLAN = LoadPlan(Player, load(Player.team, load(Team.players, strategy="selectin")), name="player page")


def test_what_holds_passes() -> None:
    """By number, by strategies, by both, by neither; for any database; by attribute and by name."""
    assert_plan(PLAN)
    assert_plan(PLAN, statements=2)
    assert_plan(PLAN, statements=2, dialect="sqlite")
    assert_plan(PLAN, strategies={Player.team: "joined", "Team.players": "selectin"})
    assert_plan(LoadPlan(Player, load(Player.team, strategy="inner")), 1, strategies={Player.team: "inner"})


def test_a_failure_shows_the_tree() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_plan(PLAN, statements=3, strategies={Player.team: "selectin", "Player.teams": "joined"})
    assert str(caught.value) == (
        "plan 'player page' is not loaded as expected:\n"
        "  2 statements instead of 3\n"
        "  'Player.team' by left join instead of select-in: "
        "one row at most; LEFT OUTER, so a missing or hidden row never drops its parent\n"
        "  it does not load 'Player.teams': did you mean 'Player.team'? It loads: Player.team, Team.players.\n"
        "\n"
        "player page: Player, 2 statements (2, however many rows)\n"
        "└─ Player.team -> Team: many-to-one, left join, statement 1\n"
        "   │    one row at most; LEFT OUTER, so a missing or hidden row never drops its parent\n"
        "   └─ Team.players -> Player: one-to-many, select-in, statement 2\n"
        "           the plan asks for strategy='selectin'"
    )


def test_words_that_mean_nothing() -> None:
    """A strategy or dialect that does not exist is an error of the test, not of the plan."""
    with pytest.raises(ValueError, match=r"^there is no strategy 'lazy': 'joined', 'inner', 'selectin' or 'subquery'$"):
        assert_plan(PLAN, strategies={Player.team: "lazy"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"^SQLAlchemy knows no dialect 'oracel'"):
        assert_plan(PLAN, dialect="oracel")
