"""Choosing ranks: a table of what each layer could become, and the plan that a budget picks from it."""
