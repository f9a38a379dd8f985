"""From losses to effects: means over places, resampled by document, beside those of controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probes.cause.findings import Controls, Effect
from probes.documents import draw_documents
from probes.intervals import percentile_interval


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of losses by document, for one group of places.

    Attributes
    ----------
    clean : ndarray (n_documents,)
        Of the losses without a clamp.
    changes : ndarray (n_variants, n_documents)
        Of the differences with each clamp.
    counts : ndarray (n_documents,)
        Predictions.
    """

    clean: np.ndarray
    changes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, losses: Sequence[np.ndarray], members: Sequence[np.ndarray]) -> Sums:
        """Return the sums of one group.

        Parameters
        ----------
        losses : sequence of ndarray (1 + n_variants, length)
            By document, without a clamp first.
        members : sequence of ndarray (length,) bool
            The places of the group in each document.
        """
        clean, changes, counts = [], [], []
        for found, chosen in zip(losses, members, strict=True):
            there = found[:, chosen].astype(np.float64)
            clean.append(there[0].sum())
            changes.append((there[1:] - there[:1]).sum(1))
            counts.append(there.shape[1])
        return cls(np.array(clean), np.stack(changes, 1), np.array(counts, np.float64))

    @property
    def effects(self) -> np.ndarray:
        """The mean change of each variant, (n_variants,)."""
        return self.changes.sum(1) / self.counts.sum()

    def resampled(self, n_resamples: int, seed: int) -> np.ndarray:
        """Return the mean change of each variant in resamples of the documents.

        Returns
        -------
        ndarray (n_variants, n_resamples)
            NaN where a resample has no prediction of the group.
        """
        drawn = draw_documents(len(self.counts), n_resamples, seed)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.changes @ drawn.T) / (drawn @ self.counts)


def effect_of(
    sums: Sums,
    resampled: np.ndarray,
    variant: int,
    random: Sequence[int],
    matched: Sequence[int],
    names: Sequence[str],
) -> Effect | None:
    """Return the effect of one variant beside its controls; None where the group is empty.

    Parameters
    ----------
    sums : Sums
    resampled : ndarray (n_variants, n_resamples)
    variant : int
    random, matched : sequence of int
        Variants that are its controls.
    names : sequence of str
        Of all variants.
    """
    n_documents = int((sums.counts > 0).sum())
    if n_documents == 0:
        return None
    effects = sums.effects
    ordinary = float(np.median(np.abs(effects[list(random)]))) if random else 0.0
    return Effect(
        effect=float(effects[variant]),
        interval=percentile_interval(resampled[variant], n_documents),
        loss=float(sums.clean.sum() / sums.counts.sum()),
        n_positions=int(sums.counts.sum()),
        n_documents=n_documents,
        ratio=float(effects[variant]) / ordinary if ordinary else None,
        random=_beside(effects, resampled, variant, random, names, n_documents),
        matched=_beside(effects, resampled, variant, matched, names, n_documents),
    )


def _beside(
    effects: np.ndarray,
    resampled: np.ndarray,
    variant: int,
    controls: Sequence[int],
    names: Sequence[str],
    n_documents: int,
) -> Controls | None:
    if not controls:
        return None
    theirs = effects[list(controls)]
    highest = int(theirs.argmax())
    excess = resampled[variant] - resampled[list(controls)].max(0)
    return Controls(
        units=[names[control] for control in controls],
        effects=theirs.tolist(),
        mean=float(theirs.mean()),
        highest=float(theirs[highest]),
        highest_unit=names[controls[highest]],
        p_value=float((1 + (theirs >= effects[variant]).sum()) / (1 + len(theirs))),
        excess=float(effects[variant] - theirs[highest]),
        excess_interval=percentile_interval(excess, n_documents),
    )
