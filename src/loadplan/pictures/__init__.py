"""A plan as a picture for a design document: boxes are entities, arrows are relationships, colours are statements."""
