"""What a recorder has recorded: one list of calls per site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from interp.capture.attention_packed import PackedCall
from interp.errors import CaptureError
from interp.sites import ATTENTION, SiteDescription


class Captured(NamedTuple):
    """The values of one site from one call.

    Attributes
    ----------
    values : Tensor
        Detached, on the model's device. (batch, steps, n_units) when the site has an axis of
        steps, else the module's own shape.
    lengths : Tensor or None
        (batch,) int64 on the CPU, the steps of each row when they differ; values past them are 0.
    """

    values: Tensor
    lengths: Tensor | None = None


Call = Captured | PackedCall
"""One call as it is held: attention maps may be packed until their values are asked for."""


@dataclass
class _Site:
    description: SiteDescription
    calls: list[Call] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)


def dtype_name(dtype: torch.dtype) -> str:
    """Return NumPy's name of a torch type (``"bfloat16"`` where NumPy has none)."""
    return str(dtype).removeprefix("torch.")


Consume = Callable[[SiteDescription, Tensor, int], None]
"""Takes the attention maps of one call: (batch, n_heads, queries, keys), and the first query."""


class Store:
    """The calls of every site that fired, and descriptions that outlive `clear`.

    Parameters
    ----------
    lengths : Tensor, optional
        (batch,) steps of the rows of a padded batch, on the CPU.

    Attributes
    ----------
    lengths : Tensor or None
        The same; may be changed between forwards.
    consume : callable or None
        Takes attention maps in place of the store, which then holds none.
    """

    def __init__(self, lengths: Tensor | None = None) -> None:
        self._sites: dict[str, _Site] = {}
        self._has_steps = False
        self.lengths = lengths
        self.consume: Consume | None = None

    def __len__(self) -> int:
        return len(self._sites)

    def __contains__(self, name: str) -> bool:
        return name in self._sites

    def descriptions(self) -> Iterator[SiteDescription]:
        """Yield the description of each site that fired, in the order of firing."""
        return (site.description for site in self._sites.values())

    def add(self, description: SiteDescription, captured: Call, first_query: int = 0) -> None:
        """Append one call to a site; maps that are consumed may come in blocks of queries."""
        site = self._site(description)
        if self.consume is not None and description.signal == ATTENTION:
            self.consume(site.description, captured.values, first_query)
        else:
            site.calls.append(captured)

    def add_step(self, description: SiteDescription, values: Tensor) -> None:
        """Append one step, (batch, n_units), to the call that `end_forward` will close."""
        self._site(description).steps.append(values)
        self._has_steps = True

    def trim(self, values: Tensor, copy: bool = False) -> tuple[Tensor, Tensor | None, bool]:
        """Return values with zeros past the lengths of rows, these lengths, and whether to copy."""
        lengths = self.lengths
        if lengths is None or values.ndim != 3 or len(values) != len(lengths):
            return values, None, copy
        if not len(lengths) or values.shape[1] < int(lengths.max()):
            return values, None, copy
        padding = torch.arange(values.shape[1], device="cpu") >= lengths[:, None]
        return values.masked_fill(padding[..., None].to(values.device), 0), lengths, False

    def drop(self, name: str) -> None:
        """Forget a site, as if it had never fired."""
        self._sites.pop(name, None)

    def _site(self, description: SiteDescription) -> _Site:
        site = self._sites.get(description.name)
        if site is None:
            site = self._sites[description.name] = _Site(description)
        return site

    def end_forward(self) -> None:
        """Stack the steps seen so far into one call per site.

        Steps of unequal shapes (a batch that shrinks) stay separate calls. Steps of an attention
        site, (batch, n_heads, queries, ...), are joined along the queries.
        """
        if not self._has_steps:
            return
        self._has_steps = False
        for site in self._sites.values():
            if not site.steps:
                continue
            steps, site.steps = site.steps, []
            equal = all(step.shape == steps[0].shape for step in steps)
            if site.description.n_heads is not None:
                for joined in [torch.cat(steps, 2)] if equal else steps:
                    self.add(site.description, Captured(joined))
            elif equal:
                values, lengths, _ = self.trim(torch.stack(steps, 1))
                site.calls.append(Captured(values, lengths))
            else:
                site.calls.extend(Captured(step.unsqueeze(1)) for step in steps)

    def calls(self, name: str) -> list[Call]:
        """Return what the site recorded, one entry per call."""
        return self._sites[name].calls

    def single(self, name: str) -> Call:
        """Return the site's only call.

        Raises
        ------
        CaptureError
            When the site was called several times, or its calls were taken.
        """
        calls = self._sites[name].calls
        if len(calls) == 1:
            return calls[0]
        module = self._sites[name].description.module
        if not calls:
            raise CaptureError(f"The values of {name!r} were taken by take() and are gone.")
        raise CaptureError(
            f"{name!r} was recorded {len(calls)} times (its module was called several times, or "
            f"the model ran several times), so there is no single value. recorder.calls({name!r}) "
            f"is the list of them; take() after each run of the model keeps runs apart; where "
            f"each call is one step of a sequence, Recorder(..., steps=[{module!r}]) stacks them."
        )

    def take(self) -> dict[str, Captured]:
        """Return each site's only call and forget the values."""
        calls = {name: self.single(name) for name, site in self._sites.items() if site.calls}
        taken = {
            name: call if isinstance(call, Captured) else Captured(call.values, call.lengths)
            for name, call in calls.items()
        }
        for site in self._sites.values():
            site.calls = []
        return taken
