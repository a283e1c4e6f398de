"""The rows that contain the columns of a place, and their size: a database refuses too many joins or columns."""

import attrs
from sqlalchemy import Dialect

from loadplan.resolved.tree import Place

#: The most joins of one statement. SQLite refuses more than 64 tables.
MAX_JOINS = 50

#: The most columns of one statement, and of the rows in one array. PostgreSQL refuses more than 1,664, and SQLite more
#: than 2,000. The statement also has columns that no edge asks for, such as the keys of subqueries.
MAX_COLUMNS = 1_500


#: The most joins that a plan can ask for. PostgreSQL has no limit, and MariaDB and MySQL join 61 tables.
_JOINS_ASKED_FOR = {"sqlite": 60, "mysql": 58, "mariadb": 58}

#: The most columns that a plan can ask for, of those that a database allows.
_COLUMNS_ASKED_FOR = {"postgresql": 1_600, "sqlite": 1_950, "mysql": 4_000, "mariadb": 4_000}


def _joins_of(place: Place) -> int:
    """Return the number of joins that a place always has: one for each subclass with its own table."""
    parts = [edge for edge in place.edges if edge.prop is None]
    return sum((not each.in_row) + _joins_of(each.target) for each in parts)


def _columns_of(place: Place) -> int:
    """Return the most columns of a place and its subclasses: what the plan reads, the row's keys, and keys of edges."""
    parts = sum(_columns_of(edge.target) for edge in place.edges if edge.prop is None)
    return len(place.columns) + len(place.mapper.primary_key) + len(place.edges) + parts


@attrs.define
class Size:
    """The size of a statement or of an array's rows while edges are added.

    Attributes:
        joins: the number of joins so far.
        columns: the most columns so far.
    """

    joins: int
    columns: int

    @classmethod
    def of(cls, place: Place) -> "Size":
        """Return the size of rows that start at a place, without the relationships below it."""
        return cls(_joins_of(place), _columns_of(place))

    def why_no_more(self, place: Place) -> str | None:
        """Return the reason why one more place should not be joined, or None if it may be."""
        if self.joins + 1 + _joins_of(place) > MAX_JOINS:
            return f"the statement above joins {MAX_JOINS} tables already"
        if self.columns + _columns_of(place) > MAX_COLUMNS:
            return f"the statement above would have more than {MAX_COLUMNS:,} columns"
        return None

    def why_impossible(self, place: Place, dialect: Dialect) -> str | None:
        """Return the reason why a database cannot join one more place, even if the plan asks for it; None if it can."""
        most = _JOINS_ASKED_FOR.get(dialect.name)
        if most is not None and self.joins + 1 + _joins_of(place) > most:
            return "the statement above would join more tables than the database allows"
        if self.columns + _columns_of(place) > _COLUMNS_ASKED_FOR.get(dialect.name, MAX_COLUMNS):
            return "the statement above would have more columns than the database allows"
        return None

    def add(self, place: Place) -> None:
        """Add the one row at the end of an edge, which is joined."""
        self.joins += 1 + _joins_of(place)
        self.columns += _columns_of(place)


@attrs.frozen
class StatementRow:
    """The rows that contain the columns of a place.

    Attributes:
        start: the place at which the statement starts.
        one_parent: whether the statement returns one of these rows, so that a subquery runs once.
        nested: whether these rows are in an array within another row.
        size: the joins and columns of these rows so far.
        of_subclass: whether only some of these rows have the place, because it is the place of a subclass.
        below_subclass: whether the place is the place of a subclass, or is joined to one.
        depth: the number of arrays and joins around these rows, one inside the other.
        of_roots: whether these are the rows of the roots. Rows that are joined to the roots are in the same rows.
    """

    start: Place
    one_parent: bool
    nested: bool
    of_subclass: bool = False
    below_subclass: bool = False
    depth: int = 0
    of_roots: bool = True
    size: Size = attrs.field(default=attrs.Factory(lambda self: Size.of(self.start), takes_self=True))
