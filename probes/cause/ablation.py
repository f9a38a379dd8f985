"""Clamp units in the model and see what it costs, where it should and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import InterpError, unknown_name
from interp.selection import Selection, as_selection
from interp.sites import ATTENTION, HEAD_OUTPUT, SiteName
from interp.wording import count
from probes.cause.effects import Sums, effect_of
from probes.cause.findings import Ablation, Effect
from probes.cause.heads import HeadVariants
from probes.cause.losses import compute_losses
from probes.cause.passages import Passages, choose_documents, cut_passages, model_for
from probes.cause.places import places_of
from probes.cause.units import Question, UnitVariants
from probes.documents import ENOUGH_DOCUMENTS, Rows
from probes.exclusion import Without, names_of
from probes.tracks import Track, load_tracks

if TYPE_CHECKING:
    from interp.models import LoadedModel

MODES = ("mean", "zero", "resample", "value", "inside", "outside")
#: Positions over which the mean output of heads is taken, at most.
_HEAD_POSITIONS = 16_384


def ablate(
    recording: Any,
    units: str | Selection | Sequence[str | Selection],
    concept: str,
    *,
    model: Any = None,
    weights: Any = None,
    mode: str = "mean",
    value: float | None = None,
    documents: str = "test",
    n_positions: int = 32_768,
    n_random: int = 30,
    n_matched: int = 30,
    n_resamples: int = 500,
    skip_missing: bool = False,
    without: Without = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Ablation]:
    """Return what clamping units costs the model at a concept's ends and elsewhere.

    Each unit (or group of units) is held at a value from the start of each document on, inside
    the recurrence; so are other units of its site, to compare with.

    Parameters
    ----------
    recording : Recording
        Complete, of text; it says what units do on average.
    units : str, Selection, or sequence of them
        Such as ``"lstm/l0/cell:87"``; units of one selection are clamped together. Heads of an
        attention site are put out before the output projection.
    concept : str
        A yes-or-no annotation or built-in concept.
    model, weights
        Where the recording's model is, if its provenance does not lead there.
    mode : {"mean", "zero", "resample", "value", "inside", "outside"}
        What units are held at: their mean over the selection documents; 0; at each step their
        value at a position drawn at random; `value`; their mean inside or outside the concept.
    value : float, optional
        With ``mode="value"``.
    documents : {"test", "selection", "all"}
        What the model reads; the halves are those of :func:`probes.rank` with the same seed.
    n_positions : int
        Read in all: documents are cut to one length.
    n_random, n_matched : int
        Other units to compare with: drawn at random, and of nearest variance.
    n_resamples, seed : int
    skip_missing : bool
        Leave positions without a label out.
    without : str, sequence of str, or mapping of str to array (n_positions,)
        Other concepts: no loss is looked at where they hold (:mod:`probes.exclusion`).
    progress : callable, optional
        Called with the work done and in all; what it raises ends it.

    Returns
    -------
    list of Ablation
        One per selection, in the order given.

    Raises
    ------
    InterpError
        If the concept, a unit, the model or the recording cannot be used; the message says why.
    """
    given = [units] if isinstance(units, str | Selection) else units
    chosen = [as_selection(selection) for selection in given]
    check_selections(chosen)
    _check_mode(mode, value)
    loaded = model_for(recording, model, weights)
    track = yes_or_no(recording, concept, skip_missing, without)
    stream = recording.streams[track.stream]
    half = choose_documents(stream.n_documents, documents, seed)
    passages = cut_passages(recording, loaded, half, n_positions)
    of_means = half
    if documents != "all":
        of_means = choose_documents(stream.n_documents, "selection", seed)
    makers = VariantMakers(recording, loaded, track, of_means, mode, value, seed)
    questions = [makers.question(s, n_random, n_matched) for s in chosen]
    variants = {v.name: v for q in questions for v in (q.variant, *q.random, *q.matched)}
    index = {name: number for number, name in enumerate(variants)}
    losses = compute_losses(
        loaded, passages.ids, passages.targets, list(variants.values()), seed, progress
    )
    predicts = loaded.adapter.predicts if loaded.adapter else "next"
    places = places_of(track.values, track.valid, stream.document_start, predicts)
    effects = _evaluate(questions, index, losses, passages, places, n_resamples, seed)
    parameters = {
        "mode": mode, "value": value, "documents": documents, "n_positions": n_positions,
        "n_random": n_random, "n_matched": n_matched, "n_resamples": n_resamples, "seed": seed,
        "skip_missing": skip_missing, "without": names_of(without),
        "delimiters": track.delimiters, "model": loaded.spec, "weights_hash": loaded.weights_hash,
    }  # fmt: skip
    return [
        Ablation(
            unit=question.name,
            concept=track.name,
            mode=mode,
            value=[] if mode == "resample" else np.ravel(question.variant.value).tolist(),
            effects=found,
            n_documents=len(passages.ids),
            n_positions=passages.n_positions,
            documents=documents,
            warnings=_warnings(found, passages),
            parameters=parameters | {"unit": question.name},
        )
        for question, found in zip(questions, effects, strict=True)
    ]


class VariantMakers:
    """Makes variants of units or of heads; what either needs is computed when first asked for."""

    def __init__(
        self, recording: Any, loaded: LoadedModel, track: Track, documents: np.ndarray,
        mode: str, value: float | None, seed: int,
    ) -> None:  # fmt: skip
        start = np.asarray(recording.streams[track.stream].document_start)
        rows = Rows.of(start, documents, track.valid)
        self._units = UnitVariants(recording, track, rows, mode, value, seed)
        self._heads: HeadVariants | None = None
        self._of_heads = recording, loaded, documents, mode, seed

    def question(self, selection: Selection, n_random: int, n_matched: int) -> Question:
        """Return a selection's variant and those of its controls."""
        if SiteName.parse(selection.site).signal not in (ATTENTION, HEAD_OUTPUT):
            return self._units.question(selection, n_random, n_matched)
        if self._heads is None:
            recording, loaded, documents, mode, seed = self._of_heads
            passages = cut_passages(recording, loaded, documents, _HEAD_POSITIONS)
            self._heads = HeadVariants(loaded, passages, mode, seed)
        return self._heads.question(selection, n_random, n_matched)


def _evaluate(
    questions: Sequence[Question],
    index: Mapping[str, int],
    losses: Sequence[np.ndarray],
    passages: Passages,
    places: Mapping[str, np.ndarray],
    n_resamples: int,
    seed: int,
) -> list[dict[str, Effect]]:
    """Return the effects of each question by group of places."""
    found: list[dict[str, Effect]] = [{} for _ in questions]
    names = list(index)
    for place, members in places.items():
        pieces = [
            members[where] & (targets >= 0)
            for where, targets in zip(passages.positions, passages.targets, strict=True)
        ]
        sums = Sums.of(losses, pieces)
        resampled = sums.resampled(n_resamples, seed)
        for effects, question in zip(found, questions, strict=True):
            random, matched = (
                [index[v.name] for v in controls]
                for controls in (question.random, question.matched)
            )
            own = index[question.variant.name]
            effect = effect_of(sums, resampled, own, random, matched, names)
            if effect is not None:
                effects[place] = effect
    return found


def check_selections(chosen: Sequence[Selection]) -> None:
    """Raise InterpError unless each selection names units, and no positions."""
    if not chosen:
        raise InterpError("No unit to clamp; name some, such as lstm/l0/cell:87.")
    for selection in chosen:
        if selection.positions is not None:
            raise InterpError(
                f"{selection} names positions, but a clamp holds at every position; leave @... out."
            )
        if selection.units is None:
            raise InterpError(
                f"{selection} names no units; write which, such as {selection}:87, or let "
                "--top choose them by a concept."
            )


def _check_mode(mode: str, value: float | None) -> None:
    if mode not in MODES:
        raise InterpError(unknown_name("way to clamp", mode, MODES))
    if (mode == "value") != (value is not None):
        raise InterpError(
            "A value to hold units at goes with the mode 'value', and that mode needs one: "
            "--mode value --value 0.5."
        )


def yes_or_no(recording: Any, concept: str, skip_missing: bool, without: Without) -> Track:
    """Return the labels of a concept that is one yes or no per position, and known at its ends."""
    tracks = load_tracks(recording, [concept], skip_missing=skip_missing, without=without)
    if len(tracks) != 1 or not tracks[0].is_binary:
        what = "has several categories; name one" if len(tracks) != 1 else "is a number"
        hint = f", such as {tracks[0].name}" if len(tracks) != 1 else ""
        raise InterpError(
            f"{concept} {what}{hint}: where the loss is looked at follows from a yes-or-no concept."
        )
    if tracks[0].delimiters == "apart":
        raise InterpError(
            f"{concept} has no label at its marks (--delimiters apart), so nothing tells where it "
            "ends; annotate it with --delimiters state, under another --name if both are wanted."
        )
    return tracks[0]


def _warnings(effects: Mapping[str, Effect], passages: Passages) -> list[str]:
    said = []
    if passages.is_cut:
        said.append(f"the first {passages.longest:,} positions of each document were read")
    if len(passages.ids) < ENOUGH_DOCUMENTS:
        said.append(
            f"{count(len(passages.ids), 'document')} are few for an interval; "
            f"{ENOUGH_DOCUMENTS} or more are better"
        )
    if "end" not in effects:
        said.append("the concept ends nowhere in what was read")
    return said
