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
from interp.extraction.model_input import ModelInput, Written, batch_budget
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
#: Ids of a prompt, and their spans where they are not one character each.
Prompt = tuple[np.ndarray, np.ndarray | None]


def generated_texts(
    loaded: LoadedModel, corpus: Corpus, options: Options
) -> tuple[ModelInput, Callable[[], Any] | None]:
    """Return the documents of a corpus, continued by the model, and what begins a state.

    Raises
    ------
    InterpError
        If the model does not write, or there is no room for what it is to write.
    """
    prompts = encode_corpus(loaded.adapter, corpus)
    given = [_without_end(loaded.adapter, *prompt) for prompt in _split(prompts)]
    _check(loaded, options, [len(ids) for ids, _ in given], [d.name for d in corpus])
    new = write(loaded, options, [ids for ids, _ in given])
    texts, encoded = _continued(loaded, given, new, [len(d.text) for d in corpus])
    found = Corpus(
        tuple(Document(d.name, d.text + text) for d, text in zip(corpus, texts, strict=True)),
        corpus.source,
        corpus.n_empty,
        corpus.noun,
    )
    written = _written(loaded, options, encoded, given, TEXT)
    return TextInput(loaded, found, options, written), beginning_of(loaded)


def generated_pairs(
    loaded: LoadedModel, pairs: Pairs, options: Options
) -> tuple[ModelInput, Callable[[], Any] | None]:
    """Return sources with the targets that the model writes, and what begins a state.

    Raises
    ------
    InterpError
        If the model does not write, or there is no room for what it is to write.
    """
    names = [pair.name for pair in pairs]
    sources = encode_side(loaded.adapter, pairs, SOURCE)
    refuse_beyond_context(loaded, sources.lengths, names)
    empty = Pairs(tuple(Pair(pair.name, pair.source, None) for pair in pairs), pairs.source)
    # A start token stands for no character, whether the adapter says so or not.
    given = [
        (ids, np.zeros((len(ids), 2), np.int64) if spans is None else spans)
        for ids, spans in _split(encode_side(loaded.adapter, empty, TARGET))
    ]
    _check(loaded, options, [len(ids) for ids, _ in given], names)
    new = write(loaded, options, [ids for ids, _ in given], [ids for ids, _ in _split(sources)])
    texts, encoded = _continued(loaded, given, new, [0] * len(pairs))
    found = Pairs(
        tuple(Pair(p.name, p.source, text) for p, text in zip(pairs, texts, strict=True)),
        pairs.source,
    )
    written = _written(loaded, options, encoded, given, TARGET, beside={SOURCE: sources.lengths})
    return PairInput(loaded, found, options, written), beginning_of(loaded)


def _continued(
    loaded: LoadedModel,
    given: Sequence[Prompt],
    new: Sequence[np.ndarray],
    n_characters: Sequence[int],
) -> tuple[list[str], Encoded]:
    """Return the texts that a model wrote, and prompts with what was written behind them.

    Parameters
    ----------
    loaded : LoadedModel
    given : sequence of (ids, spans or None)
        The prompts.
    new : sequence of ndarray (n_new,)
        Ids that the model wrote.
    n_characters : sequence of int
        Of each prompt's text.
    """
    texts, all_ids, all_spans = [], [], []
    for (ids, spans), more, begin in zip(given, new, n_characters, strict=True):
        text, where = _text_of(loaded.adapter, more)
        texts.append(text)
        all_ids.append(np.concatenate([ids, more]))
        if spans is not None:
            all_spans.append(np.concatenate([spans, where + begin]))
        elif len(text) != len(more):
            raise ModelError(
                f"{loaded.spec} wrote {len(more)} tokens of {len(text)} characters, but encode() "
                "gives no spans, which says that every character is one position."
            )
    adapter: Any = loaded.adapter
    compact = np.min_scalar_type(max(len(adapter.vocabulary) - 1, 1))
    lengths = np.array([len(ids) for ids in all_ids], np.int64)
    joined = np.concatenate(all_spans).astype(np.int32) if all_spans else None
    return texts, Encoded(np.concatenate(all_ids).astype(compact), joined, lengths)


def _written(
    loaded: LoadedModel,
    options: Options,
    encoded: Encoded,
    given: Sequence[Prompt],
    stream: str,
    **more: Any,
) -> Written:
    """Return what a model wrote, as it is fed again."""
    prompts = np.array([len(ids) for ids, _ in given], np.int64)
    schedule = _schedule(loaded, options, encoded.lengths, prompts, stream=stream, **more)
    is_new = [np.arange(n) >= prompt for n, prompt in zip(encoded.lengths, prompts, strict=True)]
    said = {
        "generate": options.generate,
        "temperature": options.temperature,
        "steps": "one position at a time" if schedule.prompts is not None else "one whole pass",
    }
    marked = AnnotationPlan(GENERATED, np.concatenate(is_new), stream)
    return Written(encoded, schedule, (marked,), said)


def _split(encoded: Encoded) -> list[Prompt]:
    """Return ids and spans of each document."""
    edges = np.cumsum(encoded.lengths)[:-1]
    ids = np.split(encoded.ids.astype(np.int64), edges)
    if encoded.spans is None:
        return [(part, None) for part in ids]
    return list(zip(ids, np.split(encoded.spans.astype(np.int64), edges), strict=True))


def _without_end(adapter: Any, ids: np.ndarray, spans: np.ndarray | None) -> Prompt:
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
