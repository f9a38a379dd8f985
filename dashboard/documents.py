"""Pages of a stream's list of documents: filtered and sorted here, so that little is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.sources.protocol import StreamInfo

SORTS = ("index", "length", "-length", "loss", "-loss")
MAX_ROWS = 500


@dataclass(frozen=True)
class Page:
    """Rows [start, start + len(indices)) of `n_matching` documents; `worst` is the largest loss."""

    indices: np.ndarray
    start: int
    n_matching: int
    worst: float


def document_page(
    stream: StreamInfo,
    loss: np.ndarray | None,
    *,
    find: str = "",
    sort: str = "index",
    start: int = 0,
    n_rows: int = MAX_ROWS,
) -> Page:
    """Return the indices of one page of documents.

    Parameters
    ----------
    stream : StreamInfo
    loss : array (n_documents,), optional
        Mean losses, NaN where unknown; those come last whatever the order.
    find : str
        Letters that the name holds, in either case.
    sort : str
        One of `SORTS`; a minus means the largest first.
    start, n_rows : int
    """
    wanted = find.casefold()
    names = stream.document_names
    if wanted:
        matching = np.array([i for i, n in enumerate(names) if wanted in n.casefold()], np.int64)
    else:
        matching = np.arange(len(names))
    keys = np.zeros(0) if loss is None else np.asarray(loss)[matching]
    known = keys[np.isfinite(keys)]
    worst = float(known.max()) if len(known) else 0.0
    if sort.endswith("length"):
        keys = np.diff(stream.document_start)[matching].astype(np.float64)
    if sort != "index" and len(keys):
        signed = -keys if sort.startswith("-") else keys
        order = np.argsort(np.where(np.isfinite(signed), signed, np.inf), kind="stable")
        matching = matching[order]
    return Page(matching[start : start + n_rows], start, len(matching), worst)
