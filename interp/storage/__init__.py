"""The recording: its plan, its writer, its reader. docs/format.md specifies the file."""

from interp.storage.annotating import AnnotationPlan
from interp.storage.attention_site import AttentionPlan, AttentionSite
from interp.storage.export import export
from interp.storage.plan import RecordingPlan
from interp.storage.prediction_plan import PredictionPlan
from interp.storage.recording import Recording, open_recording
from interp.storage.stream_plan import StreamPlan
from interp.storage.writer import RecordingWriter

# `interp.open` takes it from here; not in __all__, so that a star import keeps the built-in.
open = open_recording

__all__ = [
    "AnnotationPlan",
    "AttentionPlan",
    "AttentionSite",
    "PredictionPlan",
    "Recording",
    "RecordingPlan",
    "RecordingWriter",
    "StreamPlan",
    "export",
    "open_recording",
]
