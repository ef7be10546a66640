"""The six decompositions, each a chain of plain convolutions, and the registry that names them."""
