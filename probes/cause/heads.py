"""Attention heads as variants: their mean outputs come from a run of the model without clamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interp.capture import Recorder
from interp.errors import InterpError, SiteError, unknown_name
from interp.selection import Selection
from interp.sites import ATTENTION, HEAD_OUTPUT, SiteName
from probes.cause.controls import matched_groups, random_groups
from probes.cause.losses import Variant
from probes.cause.passages import Passages
from probes.cause.units import Question

if TYPE_CHECKING:
    from interp.models import LoadedModel


@dataclass(frozen=True, eq=False)
class HeadActivity:
    """Moments of the outputs of one site's heads.

    Attributes
    ----------
    mean : ndarray (n_heads, head_dim)
    variance : ndarray (n_heads,)
        Summed over the head's dimensions.
    """

    mean: np.ndarray
    variance: np.ndarray


class HeadVariants:
    """Makes variants of a model's attention heads.

    Parameters
    ----------
    loaded : LoadedModel
    passages : Passages
        What means are taken over.
    mode : {"zero", "mean"}
    seed : int

    Raises
    ------
    InterpError
        With another mode: a head has no single value.
    """

    def __init__(self, loaded: LoadedModel, passages: Passages, mode: str, seed: int) -> None:
        if mode not in ("zero", "mean"):
            raise InterpError(
                f"A head's output is a vector at each position: it can be set to zero or to its "
                f"mean (--mode zero or mean), not to {mode!r}."
            )
        self._mode, self._seed = mode, seed
        self._activity = measure_heads(loaded, passages)

    def question(self, selection: Selection, n_random: int, n_matched: int) -> Question:
        """Return a selection's variant and those of its controls.

        A single head is compared with heads of all sites, several together with as many of their
        own site.

        Raises
        ------
        SiteError
            If no attention was seen at the site.
        """
        module = SiteName.parse(selection.site).module
        site = str(SiteName(module, ATTENTION))
        if site not in self._activity:
            raise SiteError(unknown_name("site with attention", selection.site, self._activity))
        heads = self._activity[site]
        assert selection.units is not None
        units = selection.units.indices(len(heads.variance), site, "head")
        if len(units) > 1:
            usable = np.arange(len(heads.variance))
            drawn = random_groups(usable, units, n_random, self._seed)
            near = matched_groups(usable, heads.variance, units, n_matched)
            return Question(
                str(selection),
                self._variant(site, tuple(units.tolist())),
                [self._variant(site, group) for group in drawn],
                [self._variant(site, group) for group in near],
            )
        places = [(s, h) for s, a in self._activity.items() for h in range(len(a.variance))]
        own = np.array([places.index((site, int(units[0])))])
        variance = np.concatenate([a.variance for a in self._activity.values()])
        everywhere = np.arange(len(places))
        drawn = random_groups(everywhere, own, n_random, self._seed)
        near = matched_groups(everywhere, variance, own, n_matched)
        return Question(
            str(selection),
            self._variant(site, (int(units[0]),)),
            [self._variant(places[i][0], (places[i][1],)) for (i,) in drawn],
            [self._variant(places[i][0], (places[i][1],)) for (i,) in near],
        )

    def _variant(self, site: str, heads: tuple[int, ...]) -> Variant:
        if self._mode == "zero":
            return Variant(site, heads, np.zeros(()))
        return Variant(site, heads, self._activity[site].mean[list(heads)])


def measure_heads(loaded: LoadedModel, passages: Passages) -> dict[str, HeadActivity]:
    """Return mean and variance of every head's output, by the name of its attention site.

    Parameters
    ----------
    loaded : LoadedModel
    passages : Passages
        Each is read whole, from a fresh state.
    """
    adapter: Any = loaded.adapter
    sums: dict[str, list[torch.Tensor]] = {}
    count = 0
    with torch.inference_mode(), Recorder(loaded.module, [f"**/{HEAD_OUTPUT}"]) as recorder:
        for ids in passages.ids:
            batch = torch.from_numpy(ids)[None]
            adapter.forward(batch, torch.tensor([len(ids)]), None)
            count += len(ids)
            for name, captured in recorder.take().items():
                heads = captured.values[0].double()  # (n_heads, steps, head_dim)
                found = [heads.sum(1), (heads * heads).sum((1, 2))]
                known = sums.setdefault(name, [torch.zeros_like(part) for part in found])
                for total, part in zip(known, found, strict=True):
                    total += part
    activity = {}
    for name, (total, squares) in sums.items():
        mean = (total / count).cpu().numpy()
        variance = squares.cpu().numpy() / count - (mean**2).sum(1)
        site = str(SiteName(SiteName.parse(name).module, ATTENTION))
        activity[site] = HeadActivity(mean.astype(np.float32), np.maximum(variance, 0))
    return activity
