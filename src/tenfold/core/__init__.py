"""Integers, plans, reports and errors: the part of tenfold that does not know torch."""
