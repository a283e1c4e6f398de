"""The number of rows at each end of a relationship: one or many."""

import enum


class Cardinality(enum.Enum):
    """How many targets one parent may have, and how many parents one target may have."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_ONE = "one-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        """True if a parent has at most one target."""
        return self in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}
