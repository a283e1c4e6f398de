"""A plan as a picture for a design document: boxes are entities, arrows are relationships, colours are statements."""

from loadplan.pictures.mermaid import to_mermaid
from loadplan.pictures.svg import to_svg

__all__ = ["to_mermaid", "to_svg"]
