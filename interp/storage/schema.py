"""The names, types and shapes of a recording file: the one place that spells them.

``docs/format.md`` specifies the same for other programs, and a test holds the two together.
Nothing here reads or writes a file.
"""

from __future__ import annotations

import math

import numpy as np

from interp.errors import StorageError

FORMAT = "interp-recording"
VIEW_FORMAT = "interp-view"
RESULT_FORMAT = "interp-result"
FORMAT_VERSION = 2

# Attributes of the root group.
ATTR_FORMAT = "format"
ATTR_VERSION = "format_version"
ATTR_CREATOR = "created_by"

# Data sets and groups of a recording.
PROVENANCE = "provenance"
SCHEDULE = "schedule"
DIGESTS = "digests"
STREAM_NAMES = "stream_names"
SITE_NAMES = "site_names"
STREAMS = "streams"
ACTIVATIONS = "activations"
PREDICTIONS = "predictions"
ANNOTATIONS = "annotations"
PROGRESS = "progress"
ATTENTION = "attention"
ATTENTION_NAMES = "attention_names"
KEY_RANGES = "key_ranges"
ORDER_SUFFIX = "_order"

# Inside a stream's group. Lists of strings are packed: bytes in NAME, offsets in NAME_start.
DOCUMENT_START = "document_start"
DOCUMENT_NAME = "document_name"
TEXT = "text"
TOKEN_ID = "token_id"
SPAN = "span"
VOCABULARY = "vocabulary"
IMAGE = "image"  # with its offsets in image_start
IMAGE_SHAPE = "image_shape"
RECTANGLE = "rectangle"
START_SUFFIX = "_start"

# Attributes of an activation data set.
SITE_ATTRIBUTES = ("module", "signal", "stream", "per")
OPTIONAL_SITE_ATTRIBUTES = ("layer", "direction", "n_heads", "key_stream")

# Inside an attention site's group, beside one data set per statistic.
WEIGHTS = "weights"
KEY_INDEX = "key_index"
SEGMENT_START = "segment_start"
KEPT = "kept"
KEPT_MASS = "kept_mass"
ATTR_FORM = "form"
ATTR_MASS = "mass"
ATTR_KEYS = "keys"
ATTR_KEY_RANGES = "key_ranges"
ATTR_DTYPE = "dtype"
ATTR_MAX_ERROR = "max_error"

# Inside the predictions group.
TOP_ID = "top_id"
TOP_PROBABILITY = "top_probability"
LOSS = "loss"
ATTR_STREAM = "stream"
ATTR_TARGET = "target"
TARGETS = ("next", "same")

# Inside the progress group.
SEGMENTS = "segments"
CHECKSUMS = "checksums"
DONE = "done"
SYNCED = "synced"
FINGERPRINT = "fingerprint"
FINGERPRINT_LENGTH = 64

# A view.
VIEW_CODES = "codes"
VIEW_SCALES = "scales"
VIEW_BUILT = "built"

STORAGE_DTYPES = ("float16", "float32", "float64")

# One unit over all positions reads `CHUNK_UNITS` columns, some positions of all units read one
# strip of every column of chunks. docs/format.md has the measurements behind the two numbers.
CHUNK_POSITIONS = 8192
CHUNK_UNITS = 16


def storage_dtype(name: str, site: str) -> np.dtype:
    """Return the little-endian NumPy type in which a site is stored, or refuse its name."""
    if name not in STORAGE_DTYPES:
        advice = (
            "NumPy and HDF5 have no such type; float32 holds each of its values exactly"
            if name == "bfloat16"
            else f"choose one of {', '.join(STORAGE_DTYPES)}"
        )
        raise StorageError(f"Site {site!r} cannot be stored as {name}: {advice}.")
    return np.dtype(name).newbyteorder("<")


def chunk_shape(n_rows: int, n_units: int) -> tuple[int, int]:
    """Return the chunk shape of an activation data set, chosen so that few cells are padding.

    Chunks are cut evenly along the positions, and are 12 to 20 units wide (or as wide as the
    site, when it is narrow), whichever width pads least; near equals go to the widest below 17.
    """
    n_strips = max(1, round(n_rows / CHUNK_POSITIONS))
    rows = math.ceil(n_rows / n_strips)
    if n_units <= CHUNK_UNITS:
        return rows, n_units
    widths = range(CHUNK_UNITS - 4, CHUNK_UNITS + 5)
    padded = {width: math.ceil(n_units / width) * width for width in widths}
    return rows, min(widths, key=lambda width: (padded[width], abs(width - CHUNK_UNITS)))


def index_dtype(n_values: int) -> np.dtype:
    """Return the smallest unsigned type that holds the indices 0 to `n_values` - 1."""
    for dtype in ("u1", "<u2", "<u4"):
        if n_values <= np.iinfo(dtype).max + 1:
            return np.dtype(dtype)
    return np.dtype("<u8")


def check_site_name(name: str, own_name: str) -> None:
    """Refuse a name under which no data set can be found again."""
    if name != own_name:
        raise StorageError(f"Site {own_name!r} is listed under the name {name!r}.")
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StorageError(f"{name!r} cannot be the name of a site.")
