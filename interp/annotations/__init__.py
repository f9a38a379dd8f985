"""Annotations: named values per position, computed from the text by well-kept parsers."""

from interp.annotations.concepts import CONCEPTS, concept_names, is_concept
from interp.annotations.python_source import annotate_python

__all__ = ["CONCEPTS", "annotate_python", "concept_names", "is_concept"]
