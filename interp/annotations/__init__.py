"""Annotations: named values per position, computed from the text by well-kept parsers."""

from interp.annotations.python_source import CONCEPTS, annotate_python

__all__ = ["CONCEPTS", "annotate_python"]
