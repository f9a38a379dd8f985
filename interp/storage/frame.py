"""A selection as a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.selection import Selection
from interp.storage.table import Table

if TYPE_CHECKING:
    import pandas

    from interp.storage.recording import Recording


def to_frame(
    recording: Recording, selection: str | Selection, annotations: Sequence[str] = ()
) -> pandas.DataFrame:
    """Return a selection as a table; see `Recording.to_frame`."""
    import pandas

    table = Table(recording, selection, annotations)
    blocks = list(table.blocks())
    document = np.concatenate([block.document for block in blocks])
    used = np.unique(document)
    names = [table.stream.documents[int(i)].name for i in used]
    columns: dict[str, Any] = {
        "document": document,
        "document_name": np.array(names, dtype=object)[np.searchsorted(used, document)],
    }
    if not table.per_document:
        columns["position"] = np.concatenate([block.inside for block in blocks])
        if table.stream.tokens is not None:
            columns["token"] = [token for block in blocks for token in block.tokens or ()]
    for name in table.annotation_names:
        values = np.concatenate([block.annotations[name] for block in blocks])
        categories = recording.annotations[name].categories
        columns[name] = (
            values if categories is None else pandas.Categorical.from_codes(values, categories)
        )
    values = np.concatenate([block.values for block in blocks])
    values = values.astype(np.promote_types(values.dtype, np.float32), copy=False)
    units = pandas.DataFrame(values, columns=table.unit_names)
    return pandas.concat([pandas.DataFrame(columns), units], axis=1)
