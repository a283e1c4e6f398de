"""How many rows stand at either end of a relationship."""

import enum


class Cardinality(enum.Enum):
    """How many targets a parent may have, and parents a target."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_ONE = "one-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        """Whether a parent has one target at most."""
        return self in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}
