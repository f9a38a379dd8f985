"""Clamp units to what they are inside a concept, and see what the model then expects next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.errors import InterpError, unknown_name
from interp.intervention import Clamp, Clamped
from interp.selection import Selection, as_selection
from probes.cause.ablation import VariantMakers, check_selections, yes_or_no
from probes.cause.losses import Variant, run_variants
from probes.cause.passages import Passages, choose_documents, cut_passages, model_for
from probes.cause.places import places_of
from probes.documents import draw_documents
from probes.exclusion import Without, names_of
from probes.findings import plain
from probes.intervals import percentile_interval

if TYPE_CHECKING:
    from interp.models import LoadedModel

#: Where units are steered to, and where one then looks.
DIRECTIONS = {"inside": "outside", "outside": "inside"}


@dataclass(frozen=True)
class TokenShift:
    """How probable a token is as the next one, without and with the clamp.

    Attributes
    ----------
    token : str
    before, after : float
        Mean probability over the places.
    interval : (float, float)
        95 % of resamples of the documents, of ``after - before``.
    ends : float
        Share of the concept's ends in the recording at which this token is the end.
    random_highest : float or None
        The largest change among random units steered the same way, in the direction of this one.
    """

    token: str
    before: float
    after: float
    interval: tuple[float, float]
    ends: float
    random_highest: float | None


@dataclass
class Steering:
    """What a model expects next with some units clamped.

    Attributes
    ----------
    unit, concept : str
    to : {"inside", "outside"}
    value : list of float
        What the units were held at.
    places : str
        Where the probabilities are averaged, see :data:`probes.cause.places.PLACES`.
    tokens : list of TokenShift
        Those that end the concept first, then by how much they changed.
    n_positions, n_documents : int
    text : str or None
        A text of the user's own.
    next_before, next_after : list of (str, float)
        The most probable tokens behind it, without and with the clamp.
    parameters : dict
    """

    unit: str
    concept: str
    to: str
    value: list[float]
    places: str
    tokens: list[TokenShift]
    n_positions: int
    n_documents: int
    text: str | None = None
    next_before: list[tuple[str, float]] = field(default_factory=list)
    next_after: list[tuple[str, float]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self))


def steer(
    recording: Any,
    units: str | Selection,
    concept: str,
    *,
    to: str = "inside",
    value: float | None = None,
    text: str | None = None,
    model: Any = None,
    weights: Any = None,
    documents: str = "test",
    n_positions: int = 8192,
    n_random: int = 30,
    n_tokens: int = 10,
    n_resamples: int = 500,
    skip_missing: bool = False,
    without: Without = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Steering:
    """Return what the model expects next when units are held as if inside (or outside) a concept.

    Parameters
    ----------
    recording : Recording
        Complete, of text.
    units : str or Selection
        Held together.
    concept : str
        A yes-or-no annotation or built-in concept.
    to : {"inside", "outside"}
        Units are held at their mean there; the probabilities are looked at on the other side.
    value : float, optional
        Hold the units at this value instead.
    text : str, optional
        Also say what comes next behind this text.
    model, weights, documents, n_positions, skip_missing, without, n_resamples, seed, progress
        As of :func:`probes.cause.ablate`.
    n_random : int
        Other units of the site, each steered the same way, to compare with.
    n_tokens : int
        How many tokens to report.

    Raises
    ------
    InterpError
        If something cannot be used; the message says why.
    """
    if to not in DIRECTIONS:
        raise InterpError(unknown_name("direction to steer to", to, DIRECTIONS))
    selection = as_selection(units)
    check_selections([selection])
    loaded = model_for(recording, model, weights)
    adapter: Any = loaded.adapter
    track = yes_or_no(recording, concept, skip_missing, without)
    stream = recording.streams[track.stream]
    half = choose_documents(stream.n_documents, documents, seed)
    of_means = half
    if documents != "all":
        of_means = choose_documents(stream.n_documents, "selection", seed)
    mode = to if value is None else "value"
    makers = VariantMakers(recording, loaded, track, of_means, mode, value, seed)
    question = makers.question(selection, n_random, 0)
    passages = cut_passages(recording, loaded, half, n_positions)
    places = places_of(track.values, track.valid, stream.document_start, adapter.predicts)
    looked_at = DIRECTIONS[to]
    pieces = [places[looked_at][where] for where in passages.positions]
    sums = _probabilities(
        loaded, passages, [question.variant, *question.random], pieces, seed, progress
    )
    ends = _ends(places["end"], passages, len(adapter.vocabulary))
    counts = np.array([piece.sum() for piece in pieces], np.float64)
    if not counts.sum():
        raise InterpError(f"No prediction lies {looked_at} {track.name} in what was read.")
    held = Clamp(selection.site, question.variant.units, torch.as_tensor(question.variant.value))
    return Steering(
        unit=str(selection),
        concept=track.name,
        to=to,
        value=np.ravel(question.variant.value).tolist(),
        places=looked_at,
        tokens=_shifts(sums, counts, ends, adapter.vocabulary, n_tokens, n_resamples, seed),
        n_positions=int(counts.sum()),
        n_documents=int((counts > 0).sum()),
        text=text,
        next_before=next_tokens(loaded, text) if text is not None else [],
        next_after=next_tokens(loaded, text, [held]) if text is not None else [],
        parameters={
            "unit": str(selection), "to": to, "value": value, "text": text,
            "documents": documents, "n_positions": n_positions, "n_random": n_random,
            "seed": seed, "skip_missing": skip_missing, "without": names_of(without),
            "delimiters": track.delimiters, "weights_hash": loaded.weights_hash,
        },
    )  # fmt: skip


def _probabilities(
    loaded: LoadedModel,
    passages: Passages,
    variants: Sequence[Variant],
    pieces: Sequence[np.ndarray],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Return sums of probabilities, (n_documents, 1 + n_variants, n_vocabulary)."""
    adapter: Any = loaded.adapter
    sums = np.zeros((len(pieces), 1 + len(variants), len(adapter.vocabulary)))

    def consume(
        rows: Sequence[tuple[int, int]], start: int, lengths: np.ndarray, logits: torch.Tensor
    ) -> None:
        for row, n in enumerate(lengths.tolist()):
            document, variant = rows[row]
            chosen = torch.from_numpy(np.flatnonzero(pieces[document][start : start + n]))
            likely = logits[row, chosen.to(logits.device)].double().softmax(-1).sum(0)
            sums[document, variant + 1] += likely.cpu().numpy()[: sums.shape[2]]

    run_variants(loaded, passages.ids, variants, consume, seed, progress)
    return sums


def _ends(members: np.ndarray, passages: Passages, n_vocabulary: int) -> np.ndarray:
    """Return how often each token ends the concept, as shares (n_vocabulary,)."""
    counts = np.zeros(n_vocabulary)
    for where, targets in zip(passages.positions, passages.targets, strict=True):
        found = targets[members[where] & (targets >= 0)]
        counts += np.bincount(found, minlength=n_vocabulary)
    return counts / max(1.0, counts.sum())


def _shifts(
    sums: np.ndarray,
    counts: np.ndarray,
    ends: np.ndarray,
    vocabulary: Sequence[str],
    n_tokens: int,
    n_resamples: int,
    seed: int,
) -> list[TokenShift]:
    mean = sums.sum(0) / counts.sum()  # (1 + n_variants, n_vocabulary)
    change = mean[1:] - mean[0]
    common = [int(t) for t in np.argsort(-ends)[:3] if ends[t] >= 0.05]
    by_change = [int(t) for t in np.argsort(-np.abs(change[0])) if t not in common]
    drawn = draw_documents(len(counts), n_resamples, seed)
    shifts = []
    for token in [*common, *by_change][:n_tokens]:
        difference = sums[:, 1, token] - sums[:, 0, token]
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled = (drawn @ difference) / (drawn @ counts)
        shifts.append(
            TokenShift(
                token=vocabulary[token],
                before=float(mean[0, token]),
                after=float(mean[1, token]),
                interval=percentile_interval(resampled, int((counts > 0).sum())),
                ends=float(ends[token]),
                random_highest=_furthest(change[:, token]),
            )
        )
    return shifts


def _furthest(change: np.ndarray) -> float | None:
    """Return the change of a control that goes furthest where the first one goes."""
    if len(change) < 2:
        return None
    return float(change[1:].max() if change[0] >= 0 else change[1:].min())


def next_tokens(
    loaded: LoadedModel, text: str, clamps: Sequence[Clamp] = (), n_best: int = 10
) -> list[tuple[str, float]]:
    """Return what the model expects behind a text, most probable first.

    Parameters
    ----------
    loaded : LoadedModel
        With an adapter.
    text : str
        Not empty.
    clamps : sequence of Clamp
        What is held while the text is read.
    n_best : int

    Raises
    ------
    InterpError
        If the text has no token, or the model gives no logits.
    """
    adapter: Any = loaded.adapter
    ids = np.asarray(adapter.encode(text)[0], np.int64)
    if not len(ids):
        raise InterpError("The text is empty: there is nothing that a next token could follow.")
    with torch.inference_mode(), Clamped(loaded.module, clamps):
        device = next(loaded.module.parameters()).device
        logits, _ = adapter.forward(
            torch.from_numpy(ids)[None].to(device), torch.tensor([len(ids)]), None
        )
    if logits is None:
        raise InterpError("The model gives no logits, so it expects nothing.")
    likely, tokens = logits[0, -1].float().softmax(-1).topk(min(n_best, logits.shape[-1]))
    return list(zip(adapter.decode(tokens.cpu().numpy()), likely.tolist(), strict=True))
