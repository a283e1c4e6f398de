"""The audit as people read it, and where it looks."""

import types
from pathlib import Path

import pytest
import tools_models
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Integer, MetaData, String, Table, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry, relationship

from loadplan import PlanError
from loadplan.audit import Audit, audit
from loadplan.tools.targets import TargetError

EXPECTED = Path(__file__).with_name("audit_of_tools_models.txt")


def test_the_whole_text() -> None:
    """Everything that the audit knows is in this mapping, and so in its text."""
    assert f"{audit(tools_models)}\n" == EXPECTED.read_text("utf-8")


def test_values_equal_and_are_hashable() -> None:
    assert audit("tools_models") == audit(tools_models)
    assert len({audit(tools_models), audit(tools_models)}) == 1
    assert audit(tools_models).risks == audit(tools_models).findings[: len(audit(tools_models).risks)]


def subjects(found: Audit, rule: str) -> list[str]:
    return [each.subject for each in found.findings if each.rule == rule]


@pytest.mark.parametrize(
    "target",
    ["tools_models:Base", "tools_models:Base.registry", "tools_models:Base.metadata", "tools_models"],
)
def test_targets_that_reach_all_classes(target: str) -> None:
    """A base, its registry, its metadata and its module see the same; the module is named, so its sessions are seen."""
    assert audit(target).findings == audit(tools_models).findings


def test_targets_that_reach_less() -> None:
    """A class is audited with its tables; metadata alone has tables and no classes; a bare base has no module."""
    assert {each.subject.partition(".")[0] for each in audit(tools_models.Shelf).findings} == {"Shelf"}
    assert (audit(tools_models.Tag).classes, audit(tools_models.Tag).tables) == (1, 2)
    assert {each.rule for each in audit(tools_models.Base.metadata).findings} == {"index"}
    assert "session" not in {each.rule for each in audit(tools_models.Base).findings}
    assert audit(tools_models.Base.registry).classes == 7


def test_a_class_that_mapped_ones_inherit_from() -> None:
    """A mixin, or a base that hides its registry; metadata of its own counts."""

    class Mixin:
        metadata = MetaData()

    class Base(DeclarativeBase):
        metadata = Mixin.metadata

    class Mixed(Mixin, Base):
        __tablename__ = "mixed"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Other(Base):
        __tablename__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert (audit(Mixin).classes, audit(Mixin).tables) == (1, 2)
    assert (audit(Base).classes, audit(Base).tables) == (2, 2)
    assert audit(Mixed, Other).target == "Mixed, Other"


def test_several_targets_are_one_audit() -> None:
    both = audit(tools_models.Tag, tools_models.Shelf)
    assert both.target == "Tag, Shelf"
    assert both.classes == 2


def test_a_foreign_key_is_served_by_an_index_that_starts_with_it() -> None:
    """In any order of its columns, descending or not; not by another kind of index, or one over some rows."""
    metadata = MetaData()
    Table("far", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
    Table("one", metadata, Column("id", Integer, primary_key=True))

    def near(name: str, *indexes: Index) -> None:
        columns = [Column("id", Integer, primary_key=True), Column("a", Integer), Column("b", Integer)]
        Table(name, metadata, *columns, ForeignKeyConstraint(["a", "b"], ["far.a", "far.b"]), *indexes)

    near("bare")
    near("half", Index("half_a", "a"))
    near("same", Index("same_ab", "a", "b"))
    near("turned", Index("turned_ba", "b", "a", "id"))
    near("descending", Index("descending_ab", text("a"), "b"))
    near("partial", Index("partial_ab", "a", "b", postgresql_where=text("a > 7")))
    near("unnull", Index("unnull_ab", "a", "b", postgresql_where=text("a IS NOT NULL")))
    near("covering", Index("covering_ab", "a", "b", postgresql_include=["id"]))
    near("block", Index("block_ab", "a", "b", postgresql_using="brin"))
    near("inside", Index("inside_iab", "id", "a", "b"))
    single = Table("single", metadata, Column("one_id", ForeignKey("one.id")), Column("x", String))
    Index("single_desc", single.c.one_id.desc(), single.c.x)
    hashed = Table("hashed", metadata, Column("one_id", ForeignKey("one.id"), index=True))
    (index,) = hashed.indexes
    index.dialect_options["postgresql"]["using"] = "hash"
    assert [(each.found, each.subject) for each in audit(metadata).findings] == [
        ("a foreign key inside of an index that starts with another column", "inside (a, b)"),
        ("a foreign key without an index", "bare (a, b)"),
        ("a foreign key without an index", "block (a, b)"),
        ("a foreign key without an index", "descending (a, b)"),
        ("a foreign key without an index", "half (a, b)"),
        ("a foreign key without an index", "partial (a, b)"),
    ]


def test_a_mapping_without_anything_to_say() -> None:
    class Base(DeclarativeBase):
        pass

    class Alone(Base):
        __tablename__ = "alone"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert str(audit(Base)) == "Base: 1 class, 1 table: 0 risks, 0 costs, 0 notes"
    assert audit(Alone).findings == ()


def test_a_registry_and_imperative_mappings() -> None:
    """Mapped without a base."""
    mapped = registry()
    table = Table("thing", mapped.metadata, Column("id", Integer, primary_key=True))

    class Thing:
        pass

    mapped.map_imperatively(Thing, table)
    module = types.ModuleType("things")
    Thing.__module__ = "things"
    vars(module).update(Thing=Thing)
    assert audit(mapped).classes == audit(Thing).classes == audit(module).classes == 1


def test_mappings_that_cannot_be_configured() -> None:
    """The error is that of a plan."""

    class Base(DeclarativeBase):
        pass

    class Lost(Base):
        __tablename__ = "lost"
        id: Mapped[int] = mapped_column(primary_key=True)
        others: Mapped[list["Nowhere"]] = relationship()  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(PlanError) as caught:
        audit(Lost)
    assert caught.value.code == "LP208"
    Base.registry.dispose()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("json", "module 'json' defines no mapped class, no table and no session factory"),
        ("json:loads", "'json:loads' has no mapping"),
        (3, "'int' has no mapping"),
    ],
)
def test_targets_without_a_mapping(target: object, message: str) -> None:
    with pytest.raises(TargetError, match=f"^{message}\n  hint: name "):
        audit(target)
