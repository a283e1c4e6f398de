"""What merge and the unit of work are asked before they lose rows: names of SQLAlchemy that nobody documents."""

import copy
from typing import Any

import pytest
from forest import Bird, Leaf, Tree
from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, selectinload, with_loader_criteria
from sqlalchemy.orm.attributes import instance_dict, instance_state

from loadplan import sqlalchemy_internals as internals


class Apart(DeclarativeBase):
    """A mapping whose relationships the guards of one test may keep."""


def held(entity: object) -> internals.Held:
    return instance_state(entity), instance_dict(entity)


def tree_with_leaves(database: Engine) -> Tree:
    with Session(database) as session:
        return session.scalars(select(Tree).options(selectinload(Tree.leaves))).one()


def test_history_is_read_without_loading_and_of_shallow_copies(database: Engine) -> None:
    """``AttributeImpl.get_history``: the public function looks for the object of a state, which may be gone."""
    tree = tree_with_leaves(database)
    tree.name = "changed"
    assert internals.history_of(held(tree), "name").deleted == ["oak"]
    assert internals.history_of(held(tree), "birds").empty()
    shallow = copy.copy(tree)
    together = held(shallow)
    del tree
    assert len(internals.history_of(together, "leaves").unchanged) == len(shallow.leaves)


def test_items_of_every_kind_of_value(database: Engine) -> None:
    tree = tree_with_leaves(database)
    leaves, owner = Tree.__mapper__.relationships["leaves"], Leaf.__mapper__.relationships["tree"]
    assert list(internals.items_of(leaves, tree.leaves)) == tree.leaves
    assert list(internals.items_of(owner, tree)) == [tree]
    assert list(internals.items_of(owner, None)) == list(internals.items_of(leaves, None)) == []


def test_what_merge_writes_into_is_loaded_as_merge_loads_it(database: Engine) -> None:
    with Session(database) as session:
        own = session.scalars(select(Tree)).one()
        found = internals.value_to_merge_into(held(own), "leaves")
        assert list(found) == list(session.scalars(select(Leaf)))
        leaf = session.scalars(select(Leaf)).first()
        assert internals.value_to_merge_into(held(leaf), "tree") is own
        assert list(internals.value_to_merge_into(held(Tree()), "leaves")) == []


def test_a_guard_sees_a_merge_before_it_writes(database: Engine) -> None:
    """``MapperProperty.merge`` of the one instance: relationships come before columns, and not back over a pair."""
    relationships = {mapper: dict(mapper.relationships) for mapper in (Tree.__mapper__, Leaf.__mapper__)}
    seen: list[tuple[str, str]] = []
    compared: list[str] = []
    names: list[Any] = []

    def check(edges: Any) -> None:
        seen.extend((type(each.obj()).__name__, prop.key) for (each, _), prop in edges)

    def compare(_: Any, prop: Any, into: internals.Held) -> None:
        compared.append(prop.key)
        names.append(into[1].get("name"))

    props = [relationships[Tree.__mapper__]["leaves"], relationships[Leaf.__mapper__]["tree"]]
    assert not any("merge" in vars(prop) for prop in props)
    try:
        for prop in props:
            internals.guard_merge(prop, check, compare)
            internals.guard_merge(prop, check, compare)  # once is enough
        with Session(database) as session:
            tree = session.scalars(select(Tree).options(selectinload(Tree.leaves).selectinload(Leaf.tree))).one()
        tree.name = "changed"
        with Session(database) as session:
            assert session.merge(tree).name == "changed"
    finally:
        for prop in props:
            vars(prop).pop("merge", None)
    assert seen == [("Tree", "leaves")]
    assert compared == ["leaves"]
    assert names == ["oak"]


def test_what_is_added_to_a_statement_is_read_from_it() -> None:
    """Criteria are told by class, those of a mixin too; comments and hints hide nothing; anything else may."""

    class Owned:
        gone: Mapped[bool] = mapped_column()

    class Thing(Owned, Apart):
        __tablename__ = "int_apart"
        id: Mapped[int] = mapped_column(primary_key=True)

    plain = select(Tree.id, Thing.id)
    by_class = plain.options(with_loader_criteria(Bird, Bird.id > 1, include_aliases=True))
    by_mixin = plain.options(with_loader_criteria(Owned, lambda cls: cls.gone.is_(False)))
    assert internals.criteria_added(plain, by_class) == {Bird}
    assert internals.criteria_added(plain, by_mixin) == {Owned}
    assert internals.criteria_added(by_class, by_class.options(selectinload(Tree.leaves))) == frozenset()
    for harmless in (
        plain.prefix_with("/* a comment */"),
        plain.execution_options(timeout=1),
        plain.with_hint(Tree, "a hint"),
    ):
        assert internals.criteria_added(plain, harmless) == frozenset()
    str(plain)  # what a compilation remembers is no change
    for other in (plain.where(Tree.id > 1), plain.limit(1), select(Tree.id), plain.subquery().select()):
        assert internals.criteria_added(plain, other) is None


@pytest.fixture(autouse=True, scope="module")
def _forget() -> Any:
    yield
    Apart.registry.dispose()
