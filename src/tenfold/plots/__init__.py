"""Figures as SVG text that stands inside a page: values in, text out, no files."""
