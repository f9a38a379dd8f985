"""Something short for a model to read, where its sites are to be listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import CorpusError
from interp.models.adapter import IMAGE, SOURCE, TARGET, streams_of

#: Enough for every site to fire; short enough for any model. The second is for those that read
#: words alone. After them come tokens of the adapter's own vocabulary.
TEXTS = ("def f(x):\n    return 'text'\n", "ab")
MOST_TOKENS = 64


def sample_input(adapter: Any, text: str | None = None) -> tuple[Any, Any]:
    """Return what an adapter's `forward` is given first: the input of one document, its lengths.

    Parameters
    ----------
    adapter : Adapter, PairAdapter or ImageAdapter
    text : str, optional
        What to read in place of the sample.

    Raises
    ------
    CorpusError
        If `text` is empty, or the adapter encodes neither `text` nor a sample nor any of the
        first tokens of its vocabulary.
    """
    if text == "":
        raise CorpusError("A text to run needs at least one character.")
    streams = streams_of(adapter)
    texts = _texts(adapter, SOURCE in streams) if text is None else (text,)
    if IMAGE in streams:
        pixels, rectangles = adapter.encode(np.zeros((64, 64), np.uint8))
        return torch.from_numpy(np.asarray(pixels))[None], torch.tensor([len(rectangles)])
    if SOURCE not in streams:
        return _row(_first(lambda t: adapter.encode(t), texts))
    source = _row(_first(lambda t: adapter.encode(t, SOURCE), texts))
    target = _row(adapter.encode("", TARGET)[0])
    return {SOURCE: source[0], TARGET: target[0]}, {SOURCE: source[1], TARGET: target[1]}


def _texts(adapter: Any, is_pair: bool) -> Sequence[str]:
    known = getattr(adapter, "source_vocabulary", None) if is_pair else None
    vocabulary = known or getattr(adapter, "vocabulary", None) or ()
    return *TEXTS, *[str(token) for token in vocabulary[:MOST_TOKENS] if str(token).strip()]


def _first(encode: Any, texts: Sequence[str]) -> np.ndarray:
    """Return the ids of the first text that an adapter's `encode`, a user's code, can read."""
    reasons = []
    for text in texts:
        try:
            ids = np.asarray(encode(text)[0])
        except Exception as error:
            reasons.append(error)
            continue
        if len(ids):
            return ids
        reasons.append(CorpusError("it is no token"))
    reason = reasons[0]
    if isinstance(reason, CorpusError) and len(texts) == 1:
        raise reason
    what = repr(texts[0][:40]) if len(texts) == 1 else f"a sample such as {texts[0][:9]!r}"
    raise CorpusError(
        f"The adapter does not encode {what}: {type(reason).__name__}: {reason}. Give a short text "
        "that it reads: --text."
    ) from reason


def _row(ids: Any) -> tuple[Tensor, Tensor]:
    row = torch.as_tensor(np.asarray(ids).astype(np.int64))[None]
    return row, torch.tensor([row.shape[1]])
