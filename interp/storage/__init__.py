"""The recording: its plan, its writer, its reader. docs/format.md specifies the file."""

from interp.storage.plan import PredictionPlan, RecordingPlan, StreamPlan
from interp.storage.recording import Recording, open_recording
from interp.storage.writer import RecordingWriter

open = open_recording

__all__ = [
    "PredictionPlan",
    "Recording",
    "RecordingPlan",
    "RecordingWriter",
    "StreamPlan",
    "open",
    "open_recording",
]
