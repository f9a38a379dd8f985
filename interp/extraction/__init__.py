"""Batch extraction: a model over a corpus into a recording, in bounded memory, resumable."""

from interp.extraction.estimate import Estimate
from interp.extraction.progress import Progress
from interp.extraction.recording_run import record
from interp.extraction.summary import Summary

__all__ = ["Estimate", "Progress", "Summary", "record"]
