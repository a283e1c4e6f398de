"""A mapping of trees, leaves and birds."""

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    mapped_column,
    relationship,
)


class Base(DeclarativeBase):
    pass


links = Table(
    "int_links",
    Base.metadata,
    Column("tree_id", ForeignKey("int_trees.id"), primary_key=True),
    Column("bird_id", ForeignKey("int_birds.id"), primary_key=True),
)


class Tree(Base):
    __tablename__ = "int_trees"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="oak")
    note: Mapped[str] = mapped_column(default="n", deferred=True)
    kind: Mapped[str] = mapped_column(default="tree")
    leaves: Mapped[list["Leaf"]] = relationship(back_populates="tree", cascade="all, delete-orphan", order_by="Leaf.id")
    later: DynamicMapped["Leaf"] = relationship(viewonly=True)
    birds: Mapped[list["Bird"]] = relationship(secondary=links, back_populates="trees")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tree"}


class Fruit(Tree):
    taste: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "fruit"}


class Leaf(Base):
    __tablename__ = "int_leaves"
    id: Mapped[int] = mapped_column(primary_key=True)
    tree_id: Mapped[int] = mapped_column(ForeignKey("int_trees.id"))
    tree: Mapped[Tree] = relationship(back_populates="leaves")


class Bird(Base):
    __tablename__ = "int_birds"
    id: Mapped[int] = mapped_column(primary_key=True)
    trees: Mapped[list[Tree]] = relationship(secondary=links, back_populates="birds")
