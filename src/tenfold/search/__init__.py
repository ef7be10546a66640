"""Searching ranks: a Gaussian process of the loss, exact costs, and a study that survives a kill."""
