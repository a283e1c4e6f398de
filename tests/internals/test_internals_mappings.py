"""What mappings and expressions are asked that only undocumented names answer."""

from typing import Any

import pytest
from forest import Bird, Fruit, Leaf, Tree
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    PickleType,
    String,
    Table,
    column,
    exists,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    attribute_keyed_dict,
    column_keyed_dict,
    defaultload,
    keyfunc_mapping,
    mapped_column,
    raiseload,
    registry,
    relationship,
    selectinload,
)
from sqlalchemy.orm.exc import UnmappedClassError
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from loadplan import sqlalchemy_internals as internals


def test_an_expression_tells_the_attribute_it_came_from() -> None:
    """``_annotations``: ``parententity`` and ``proxy_key``."""
    assert internals.attribute_behind(Tree.name.expression) == (Tree, "name")
    assert internals.attribute_behind(Tree.name.desc().element) == (Tree, "name")
    assert internals.attribute_behind((Tree.id > 3).left) == (Tree, "id")
    assert internals.attribute_behind(Tree.__table__.c.name) is None


def test_the_parts_of_a_statement_tell_their_classes() -> None:
    """``_annotations``: ``parententity`` of columns and tables, also for aliases."""
    found = {*internals.mappers_of(iterate(select(aliased(Bird).id).where(Tree.id > 3)))}
    assert found == {inspect(Bird), inspect(Tree)}
    assert [*internals.mappers_of(iterate(select(Tree.__table__)))] == []


def test_of_type_is_kept_by_the_attribute() -> None:
    """``QueryableAttribute._of_type``."""
    assert internals.subtype_of(Bird.trees.of_type(Fruit)) is Fruit
    assert internals.subtype_of(Bird.trees) is None


def test_criteria_are_kept_by_the_attribute() -> None:
    """``QueryableAttribute._extra_criteria``, beside ``of_type`` too."""
    assert internals.criteria_of(Bird.trees) == ()
    (only,) = internals.criteria_of(Bird.trees.and_(Tree.id > 3))
    assert only.compare(Tree.id > 3)
    assert len(internals.criteria_of(Bird.trees.of_type(Fruit).and_(Tree.id > 3).and_(Tree.id > 4))) == 2


def test_variants_are_kept_by_the_type() -> None:
    """``TypeEngine._variant_mapping``, of decorated types too."""
    text_, number = String(5), Integer()
    assert internals.variants_of(number) == {}
    assert internals.variants_of(number.with_variant(text_, "sqlite", "mysql")) == {"sqlite": text_, "mysql": text_}
    assert internals.variants_of(PickleType().with_variant(text_, "sqlite")) == {"sqlite": text_}


def test_a_dictionary_collection_tells_what_it_is_keyed_by() -> None:
    """``keyfunc.attr_name`` of attribute_keyed_dict, ``keyfunc._cols`` of column_keyed_dict."""

    class Keyed(DeclarativeBase):
        pass

    class Word(Keyed):
        __tablename__ = "int_words"
        id: Mapped[int] = mapped_column(primary_key=True)
        book_id: Mapped[int] = mapped_column(ForeignKey("int_books.id"))
        text_: Mapped[str] = mapped_column("text")

    class Book(Keyed):
        __tablename__ = "int_books"
        id: Mapped[int] = mapped_column(primary_key=True)
        by_name: Mapped[dict[str, Word]] = relationship(collection_class=attribute_keyed_dict("text_"), viewonly=True)
        by_column: Mapped[dict[str, Word]] = relationship(
            collection_class=column_keyed_dict(Word.__table__.c.text), viewonly=True
        )
        by_function: Mapped[dict[str, Word]] = relationship(
            collection_class=keyfunc_mapping(lambda word: word.text_[:1]), viewonly=True
        )
        plain: Mapped[list[Word]] = relationship(viewonly=True)

    Keyed.registry.configure()
    found = {prop.key: internals.keyed_by(prop) for prop in Book.__mapper__.relationships}
    assert found == {"by_name": ("text_",), "by_column": ("text_",), "by_function": None, "plain": ()}


def test_what_a_relationship_was_declared_with_is_readable_before_the_mappers_are_configured() -> None:
    """``RelationshipProperty._init_args``: names, expressions in strings, lambdas; and reading configures nothing."""

    class Other(DeclarativeBase):
        pass

    class Early(Other):
        __tablename__ = "int_early"
        id: Mapped[int] = mapped_column(primary_key=True)
        many: Mapped[list[Any]] = relationship(
            "Late", primaryjoin="Early.id == foreign(Late.early_id)", order_by="Late.id", back_populates="one"
        )

    mapper = Early.__mapper__
    prop: Any = Early.many.comparator.prop  # type: ignore[attr-defined]
    declared = list(internals.declared_arguments(prop))
    assert {"Late", "Early.id == foreign(Late.early_id)", "Late.id"} <= {
        each for each in declared if isinstance(each, str)
    }
    assert "one" not in declared
    assert not mapper.configured

    class Late(Other):
        __tablename__ = "int_late"
        id: Mapped[int] = mapped_column(primary_key=True)
        early_id: Mapped[int]
        one: Mapped[Any] = relationship(
            "Early", primaryjoin="foreign(Late.early_id) == Early.id", back_populates="many"
        )

    Other.registry.configure()
    assert mapper.configured


def test_overlaps_are_kept_where_they_are_looked_for() -> None:
    """``_overlaps`` tells whether the argument was given."""
    assert not internals.is_told_to_overlap(Tree.leaves.property)
    assert internals.is_told_to_overlap(relationship(overlaps="leaves,tree"))  # type: ignore[arg-type]


def test_a_property_that_joins_a_mapper_changes_its_mark() -> None:
    """``Mapper.attrs`` is another collection then, of the class and of those above it; else it stays."""

    class Growing(DeclarativeBase):
        pass

    class Root(Growing):
        __tablename__ = "growing_roots"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "root"}

    class Leaf(Root):
        __mapper_args__ = {"polymorphic_identity": "leaf"}

    Growing.registry.configure()
    root, leaf = inspect(Root), inspect(Leaf)
    before = internals.mapping_mark(root), internals.mapping_mark(leaf)
    assert (internals.mapping_mark(root), internals.mapping_mark(leaf)) == before

    Leaf.roots = relationship(Root, foreign_keys=[Leaf.id], primaryjoin="Leaf.id == Root.id", viewonly=True)  # type: ignore[attr-defined]
    assert internals.mapping_mark(root) is not before[0]
    assert internals.mapping_mark(leaf) is not before[1]

    before = internals.mapping_mark(root), internals.mapping_mark(leaf)

    class Other(Growing):
        __tablename__ = "growing_others"
        id: Mapped[int] = mapped_column(primary_key=True)
        root_id: Mapped[int] = mapped_column(ForeignKey(Root.id))
        root: Mapped[Root] = relationship(backref="others")

    assert internals.waits_for_configuration(root)
    Growing.registry.configure()
    assert not internals.waits_for_configuration(root)
    assert internals.mapping_mark(root) is not before[0]
    Growing.registry.dispose()


def test_classes_whose_mapping_failed_have_no_mapper() -> None:
    """As long as such a class is alive, SQLAlchemy's own collection raises."""

    class Failing(DeclarativeBase): ...

    class Good(Failing):
        __tablename__ = "good"
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(ArgumentError) as kept:
        type("Bad", (Failing,), {"__table__": Good.__table__, "more": mapped_column(Integer)})
    with pytest.raises(UnmappedClassError):
        _ = Failing.registry.mappers
    assert kept.tb is not None  # its frames keep the class
    assert internals.mappers_in(Failing.registry) == [inspect(Good)]
    Failing.registry.dispose()


def test_options_are_taken_apart() -> None:
    """Each step of a chain tells its path, strategy, arguments and criteria; a wildcard tells its token."""
    condition = Tree.id > 1
    statement = select(Tree).options(
        selectinload(Tree.leaves.and_(condition)).load_only(Leaf.id), raiseload("*"), defaultload(Tree.leaves)
    )
    options = internals.options_of(statement)
    assert len(options) == 3
    steps = internals.option_steps(options)
    assert steps is not None
    first, column, rest, wildcard, onward = steps
    assert first.strategy is not None
    assert (first.path[1].key, first.strategy["lazy"], len(first.criteria)) == ("leaves", "selectin", 1)
    assert column.strategy is not None
    assert (column.path[-1].key, column.strategy["deferred"]) == ("id", False)
    assert rest.strategy is not None
    assert (rest.path[-1], rest.strategy["deferred"]) == ("column:*", True)
    assert wildcard.strategy is not None
    assert (wildcard.path[0].partition(":")[0], wildcard.strategy["lazy"]) == ("relationship", "raise")
    assert (onward.strategy, onward.path[1].key) == (None, "leaves")
    assert internals.option_steps([condition]) is None


def test_notes_stay_with_a_mapped_class_and_go_with_its_mapping() -> None:
    reg = registry()

    class Noted:
        pass

    noted = Table("int_noted", reg.metadata, Column("id", Integer, primary_key=True))
    mapper = reg.map_imperatively(Noted, noted)
    internals.notes_of(mapper)["word"] = 1
    assert internals.notes_of(mapper) == {"word": 1}
    assert not vars(Noted).get("word")
    reg.dispose()
    again = registry().map_imperatively(Noted, noted)
    assert internals.notes_of(again) == {}


def test_adapters_leave_a_marked_subquery_alone() -> None:
    """A replacing traversal goes into a subquery, and passes by one that is marked."""
    old, new = table("before", column("id")), table("after", column("id"))
    plain = select(old.c.id).subquery("below")
    marked = internals.left_as_is(plain)

    def replaced(below: Any) -> str:
        statement = select(old.c.id).where(exists(select(text("1")).select_from(below)))
        return str(replacement_traverse(statement, {}, lambda each, **_: new.c.id if each is old.c.id else None))

    assert "FROM after) AS below" in replaced(plain)
    assert "FROM before) AS below" in replaced(marked)
