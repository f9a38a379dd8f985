"""Texts that a model writes itself: continued position by position, then recorded in these steps.

What is written must be known before a recording is laid out, so the model first writes, and then
reads what it has written in the same steps, with the same state or cache, while it is recorded. A
model that hands no state on reads the whole text again for each position it writes, and is recorded
in one pass over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.corpora import Corpus, Document, Pair, Pairs
from interp.errors import InterpError, ModelError
from interp.extraction.encoding import Encoded, encode_corpus
from interp.extraction.model_input import ModelInput, batch_budget
from interp.extraction.options import Options
from interp.extraction.pair_input import PairInput, encode_side, refuse_beyond_context
from interp.extraction.schedule import GROUP_BATCHES, Schedule
from interp.extraction.text_input import TextInput
from interp.extraction.writing import beginning_of, is_in_steps, write
from interp.models.adapter import SOURCE, TARGET, TEXT
from interp.storage import AnnotationPlan

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Name of the annotation that tells what the model wrote from what it was given.
GENERATED = "generated"


def generated_texts(
    loaded: LoadedModel, corpus: Corpus, options: Options
) -> tuple[ModelInput, Callable[[], Any] | None]:
    """Return the documents of a corpus, continued by the model, and what begins a state.

    Raises
    ------
    InterpError
        If the model does not write, or there is no room for what it is to write.
    """
    adapter: Any = loaded.adapter
    prompts = encode_corpus(adapter, corpus)
    given = _split(prompts)
    given = [_without_end(adapter, ids, spans) for ids, spans in given]
    _check(loaded, options, [len(ids) for ids, _ in given], [d.name for d in corpus])
    written = write(loaded, options, [ids for ids, _ in given])
    documents, ids, spans = [], [], []
    for document, (before, place), new in zip(corpus, given, written, strict=True):
        text, where = _text_of(adapter, new)
        documents.append(Document(document.name, document.text + text))
        ids.append(np.concatenate([before, new]))
        if place is not None:
            spans.append(np.concatenate([place, where + len(document.text)]))
        elif len(text) != len(new):
            raise ModelError(
                f"{loaded.spec} wrote {len(new)} tokens of {len(text)} characters, but encode() "
                "gives no spans, which says that every character is one position."
            )
    encoded = _joined(prompts, ids, spans)
    lengths = np.array([len(before) for before, _ in given], np.int64)
    schedule = _schedule(loaded, options, encoded.lengths, lengths, stream=TEXT)
    text_input = TextInput(
        loaded,
        Corpus(tuple(documents), corpus.source, corpus.n_empty, corpus.noun),
        options,
        encoded=encoded,
        schedule=schedule,
        annotations=[_annotation(TEXT, encoded.lengths, lengths)],
        said=_said(options, schedule),
    )
    return text_input, beginning_of(loaded)


def generated_pairs(
    loaded: LoadedModel, pairs: Pairs, options: Options
) -> tuple[ModelInput, Callable[[], Any] | None]:
    """Return sources with the targets that the model writes, and what begins a state.

    Raises
    ------
    InterpError
        If the model does not write, or there is no room for what it is to write.
    """
    adapter: Any = loaded.adapter
    names = [pair.name for pair in pairs]
    sources = encode_side(adapter, pairs, SOURCE)
    refuse_beyond_context(loaded, sources.lengths, names)
    empty = Pairs(tuple(Pair(pair.name, pair.source, None) for pair in pairs), pairs.source)
    prompts = encode_side(adapter, empty, TARGET)
    given = _split(prompts)
    _check(loaded, options, [len(ids) for ids, _ in given], names)
    written = write(loaded, options, [ids for ids, _ in given], [ids for ids, _ in _split(sources)])
    found, ids, spans = [], [], []
    for pair, (before, place), new in zip(pairs, given, written, strict=True):
        text, where = _text_of(adapter, new)
        found.append(Pair(pair.name, pair.source, text))
        ids.append(np.concatenate([before, new]))
        start = np.zeros((len(before), 2), np.int64) if place is None else place
        spans.append(np.concatenate([start, where]))
    encoded = _joined(prompts, ids, spans)
    lengths = np.array([len(before) for before, _ in given], np.int64)
    beside = {SOURCE: sources.lengths}
    schedule = _schedule(loaded, options, encoded.lengths, lengths, stream=TARGET, beside=beside)
    pair_input = PairInput(
        loaded,
        Pairs(tuple(found), pairs.source),
        options,
        targets=encoded,
        schedule=schedule,
        annotations=[_annotation(TARGET, encoded.lengths, lengths)],
        said=_said(options, schedule),
    )
    return pair_input, beginning_of(loaded)


def _split(encoded: Encoded) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return ids and spans of each document."""
    edges = np.cumsum(encoded.lengths)[:-1]
    ids = np.split(encoded.ids.astype(np.int64), edges)
    if encoded.spans is None:
        return [(part, None) for part in ids]
    return list(zip(ids, np.split(encoded.spans.astype(np.int64), edges), strict=True))


def _joined(prompts: Encoded, ids: list[np.ndarray], spans: list[np.ndarray]) -> Encoded:
    lengths = np.array([len(part) for part in ids], np.int64)
    joined = np.concatenate(ids).astype(prompts.ids.dtype)
    return Encoded(joined, np.concatenate(spans).astype(np.int32) if spans else None, lengths)


def _without_end(
    adapter: Any, ids: np.ndarray, spans: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a prompt without the end token that some tokenizers add."""
    ends = getattr(adapter, "end_ids", ())
    added = spans is not None and len(ids) > 1 and spans[-1, 0] == spans[-1, 1]
    if added and spans is not None and int(ids[-1]) in ends:
        return ids[:-1], spans[:-1]
    return ids, spans


def _text_of(adapter: Any, ids: np.ndarray) -> tuple[str, np.ndarray]:
    own = getattr(adapter, "text_of", None)
    found: tuple[str, np.ndarray | None] = ("", None)
    if own is not None:
        found = own(ids)
    else:
        is_pair = len(getattr(adapter, "streams", ())) > 1
        strings = adapter.decode(ids, TARGET) if is_pair else adapter.decode(ids)
        edges = np.concatenate([[0], np.cumsum([len(s) for s in strings])]).astype(np.int64)
        found = "".join(strings), np.stack([edges[:-1], edges[1:]], 1)
    text, spans = found
    if spans is None:
        starts = np.arange(len(text))
        spans = np.stack([starts, starts + 1], 1)
    return text, np.asarray(spans, np.int64).reshape(-1, 2)


def _check(
    loaded: LoadedModel, options: Options, lengths: Sequence[int], names: Sequence[str]
) -> None:
    adapter: Any = loaded.adapter
    n_new = options.generate or 0
    if adapter.predicts != "next":
        raise InterpError(
            f"--generate needs a model that predicts what comes next; {loaded.spec} predicts the "
            "tokens it is given."
        )
    if options.window is not None or options.stride is not None:
        raise InterpError("--generate feeds position by position; leave --window and --stride out.")
    if 0 in lengths:
        raise InterpError(
            f"{names[list(lengths).index(0)]} encodes to no position; a model needs one to go on "
            "from."
        )
    needed = np.asarray(lengths) + n_new
    refuse_beyond_context(
        loaded, needed, [f"With {n_new:,} generated, {name}" for name in names],
        "Give a shorter prompt, or generate fewer.",
    )  # fmt: skip


def _schedule(
    loaded: LoadedModel, options: Options, lengths: np.ndarray, prompts: np.ndarray, **more: Any
) -> Schedule:
    group = options.batch_size * GROUP_BATCHES
    if is_in_steps(loaded):
        return Schedule(lengths, options.batch_size, None, group, prompts=prompts, **more)
    budget = batch_budget(loaded, options)
    return Schedule(lengths, options.batch_size, None, group, budget=budget, **more)


def _annotation(stream: str, lengths: np.ndarray, prompts: np.ndarray) -> AnnotationPlan:
    values = [np.arange(n) >= prompt for n, prompt in zip(lengths, prompts, strict=True)]
    return AnnotationPlan(GENERATED, np.concatenate(values), stream)


def _said(options: Options, schedule: Schedule) -> dict[str, Any]:
    return {
        "generate": options.generate,
        "temperature": options.temperature,
        "steps": "one position at a time" if schedule.prompts is not None else "one whole pass",
    }
