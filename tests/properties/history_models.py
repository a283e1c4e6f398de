"""Tasks and what hangs around them: every kind of relationship that a flush may lose rows of. Any row may be hidden."""

import random
from typing import Any

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Row:
    """A row that somebody may hide."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="new")
    gone: Mapped[bool] = mapped_column(default=False)


task_tags = Table(
    "hist_task_tags",
    Base.metadata,
    Column("task_id", ForeignKey("hist_tasks.id"), primary_key=True),
    Column("tag_id", ForeignKey("hist_tags.id"), primary_key=True),
)


class Person(Row, Base):
    __tablename__ = "hist_people"


class Draft(Row, Base):
    """Belongs to one task, which has its key: a to-one that deletes what it no longer holds."""

    __tablename__ = "hist_drafts"


class Team(Row, Base):
    __tablename__ = "hist_teams"
    tasks: Mapped[list["Task"]] = relationship(back_populates="team")


class Task(Row, Base):
    __tablename__ = "hist_tasks"
    team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    draft_id: Mapped[int | None] = mapped_column(ForeignKey(Draft.id))
    team: Mapped[Team | None] = relationship(back_populates="tasks")
    assignee: Mapped[Person | None] = relationship()
    draft: Mapped[Draft | None] = relationship(cascade="all, delete-orphan", single_parent=True)
    comments: Mapped[list["Comment"]] = relationship(cascade="all, delete-orphan", back_populates="task")
    links: Mapped[list["Link"]] = relationship()
    tags: Mapped[list["Tag"]] = relationship(secondary=task_tags, back_populates="tasks")
    badge: Mapped["Badge | None"] = relationship(cascade="all, delete-orphan")


class Comment(Row, Base):
    __tablename__ = "hist_comments"
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    task: Mapped[Task] = relationship(back_populates="comments")
    author: Mapped[Person | None] = relationship()
    replies: Mapped[list["Reply"]] = relationship(cascade="all, delete-orphan")


class Reply(Row, Base):
    __tablename__ = "hist_replies"
    comment_id: Mapped[int] = mapped_column(ForeignKey(Comment.id))


class Link(Row, Base):
    __tablename__ = "hist_links"
    task_id: Mapped[int | None] = mapped_column(ForeignKey(Task.id))


class Badge(Row, Base):
    __tablename__ = "hist_badges"
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id), unique=True)


class Tag(Row, Base):
    __tablename__ = "hist_tags"
    tasks: Mapped[list[Task]] = relationship(secondary=task_tags, back_populates="tags")


#: Classes in the order in which their rows may be stored.
CLASSES: list[type[Any]] = [Person, Draft, Team, Task, Comment, Reply, Link, Badge, Tag]

#: How many rows of each.
SIZES: dict[type[Any], int] = dict(zip(CLASSES, (4, 3, 2, 4, 7, 7, 6, 3, 3), strict=True))


def random_rows(chance: random.Random) -> dict[Table, list[dict[str, Any]]]:
    """Return rows by table. A draft and a badge have one task each."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for kind in CLASSES:
        rows = found[kind.__table__] = []
        for key in range(1, SIZES[kind] + 1):
            row: dict[str, Any] = {"id": key, "name": f"{kind.__name__} {key}", "gone": chance.random() < 0.35}
            for column in kind.__table__.columns:
                for foreign in column.foreign_keys:
                    target = next(each for each in CLASSES if each.__table__ is foreign.column.table)
                    row[column.name] = chance.choice(
                        [*range(1, SIZES[target] + 1), *([None] if column.nullable else [])]
                    )
            rows.append(row)
    tasks = found[Task.__table__]
    for row, draft in zip(tasks, chance.sample([1, 2, 3, None], len(tasks)), strict=True):
        row["draft_id"] = draft
    for row, task in zip(found[Badge.__table__], chance.sample(range(1, SIZES[Task] + 1), SIZES[Badge]), strict=True):
        row["task_id"] = task
    pairs = [{"task_id": task, "tag_id": tag} for task in range(1, SIZES[Task] + 1) for tag in range(1, SIZES[Tag] + 1)]
    found[task_tags] = chance.sample(pairs, 6)
    return found
