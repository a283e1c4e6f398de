"""Random plans over live mappers, whoever mapped them."""

import random
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy import orm

from loadplan import Load, LoadPlan, load

_HAS_LEAST = (sa.Integer, sa.String, sa.DateTime, sa.Date, sa.Numeric)
_STRATEGIES = (None, None, None, None, "joined", "selectin", "subquery")


@attrs.define
class Drawer:
    """Draws plans.

    Attributes:
        left: how many more relationships a plan may have.
    """

    random: random.Random
    left: int = 6

    def plan(self, mapper: orm.Mapper[Any], depth: int = 3) -> LoadPlan[Any]:
        """Return a plan of a class, nested up to ``depth`` relationships deep."""
        self.left = 6
        loads = self.loads(mapper, depth)
        return LoadPlan(mapper.class_, *loads, **self.columns(mapper), name="drawn")

    def loads(self, mapper: orm.Mapper[Any], depth: int) -> list[Load[Any]]:
        populated = [each for each in mapper.relationships if each.lazy not in {"dynamic", "write_only"}]
        self.random.shuffle(populated)
        found = []
        for prop in populated[: self.random.choice((1, 2, 3) if depth == 3 else (0, 1, 1, 2))]:
            if self.left and depth:
                self.left -= 1
                found.append(self.load(mapper, prop, depth - 1))
        return found

    def load(self, mapper: orm.Mapper[Any], prop: orm.RelationshipProperty[Any], depth: int) -> Load[Any]:
        below = self.loads(prop.mapper, depth)
        arguments: dict[str, Any] = {"strategy": self.random.choice(_STRATEGIES)}
        keyed = prop.collection_class is not None and isinstance(prop.collection_class(), dict)
        if not keyed:
            arguments |= self.columns(prop.mapper)
        if self.random.random() < 0.2:
            arguments["where"] = self.condition(prop.entity)
        if prop.uselist and self.random.random() < 0.25:
            arguments["order_by"] = self.order(prop.entity)
            if self.random.random() < 0.6:
                arguments |= {"limit": self.random.choice((1, 2)), "strategy": None}
        return load(getattr(mapper.class_, prop.key), *below, **arguments)

    def columns(self, mapper: orm.Mapper[Any]) -> dict[str, Any]:
        """Return ``only=``, ``defer=`` or neither."""
        named = [
            getattr(mapper.class_, prop.key) for prop in attributes(mapper) if isinstance(prop.columns[0], sa.Column)
        ]
        word = self.random.choice((None, None, None, "only", "defer"))
        if word is None or not named:
            return {}
        return {word: self.random.sample(named, min(len(named), self.random.choice((1, 2, 3))))}

    def condition(self, entity: Any) -> Any:
        """Return a condition that about half of the rows meet."""
        column = self.random.choice(self.comparable(entity))
        kind = getattr(column.type, "impl_instance", column.type)
        # databases have no least boolean or UUID
        value = column if isinstance(kind, _HAS_LEAST) else sa.cast(column, sa.Text)
        return self.random.choice(
            (column.is_not(None), column.is_(None), value >= sa.select(sa.func.min(value)).scalar_subquery())
        )

    def order(self, entity: Any) -> list[Any]:
        """Return an order that tells all rows apart."""
        column = self.random.choice(self.comparable(entity))
        mapper = sa.inspect(entity).mapper
        keys = [getattr(entity.entity if hasattr(entity, "entity") else entity, key) for key in primary_key(mapper)]
        return [column.desc() if self.random.random() < 0.5 else column, *keys]

    def comparable(self, entity: Any) -> list[Any]:
        """Return the attributes that a database can order, and those of a type of the application's own."""
        inspected = sa.inspect(entity)
        mapper, owner = inspected.mapper, inspected.entity
        plain = (sa.Integer, sa.String, sa.DateTime, sa.Date, sa.Uuid, sa.Boolean, sa.Numeric)
        found = [
            getattr(owner, prop.key)
            for prop in attributes(mapper)
            if isinstance(prop.columns[0], sa.Column)
            and isinstance(getattr(prop.columns[0].type, "impl_instance", prop.columns[0].type), plain)
            and prop.columns[0].table in mapper.tables
        ]
        return found or [getattr(owner, key) for key in primary_key(mapper)]


def attributes(mapper: orm.Mapper[Any]) -> list[orm.ColumnProperty[Any]]:
    """Return the columns that the class has attributes for: it may have none for its discriminator."""
    return [prop for prop in mapper.column_attrs if hasattr(mapper.class_, prop.key)]


def primary_key(mapper: orm.Mapper[Any]) -> list[str]:
    """Return the names of the attributes of the primary key."""
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


def size_of(plan: Any) -> int:
    return sum(1 + size_of(each) for each in plan.loads)
