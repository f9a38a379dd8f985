"""Batch extraction: a model over a corpus into a recording, in bounded memory, resumable."""

from interp.extraction.estimate import Estimate
from interp.extraction.progress import Progress
from interp.extraction.record import record
from interp.extraction.summary import Summary

__all__ = ["Estimate", "Progress", "Summary", "record"]
