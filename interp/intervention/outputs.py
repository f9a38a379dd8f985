"""Clamping what a module returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from interp.errors import CaptureError
from interp.intervention.clamps import Clamp, Entries


def with_units(
    output: Any, clamps: Sequence[Clamp], module: nn.Module, batch_first: bool = True
) -> Any:
    """Return a module's output with units of its first tensor clamped.

    Parameters
    ----------
    output : Tensor, or tuple, list or mapping that holds one
        The tensor is (batch, ..., n_units), or laid out as `module` and `batch_first` say.
    clamps : sequence of Clamp
        Of one site.
    module : nn.Module
        What returned it. Recurrent modules say their layout themselves, unbatched ones included.
    batch_first : bool
        Layout of the three-axis outputs of other modules.

    Raises
    ------
    SelectionError
        If there is no such unit or row.
    CaptureError
        If the output holds no tensor with units.
    """
    if isinstance(output, Tensor) and output.ndim >= 1:
        recurrent = isinstance(module, nn.RNNBase)
        is_single = output.ndim == (2 if recurrent else 1)
        is_swapped = output.ndim == 3 and not (module.batch_first if recurrent else batch_first)
        whole = output[None] if is_single else output
        whole = whole.transpose(0, 1) if is_swapped else whole
        for clamp in clamps:
            clamp.check_units(whole.shape[-1])
        found = Entries.of(clamps, whole, len(whole)).put_in_sequence(whole)
        found = found.transpose(0, 1) if is_swapped else found
        return found[0] if is_single else found
    if isinstance(output, tuple | list) and output and not isinstance(output, PackedSequence):
        first, *rest = output
        parts = [with_units(first, clamps, module, batch_first), *rest]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    if isinstance(output, Mapping) and output:
        changed: Any = copy.copy(output)
        key = next(iter(output))
        changed[key] = with_units(output[key], clamps, module, batch_first)
        return changed
    raise CaptureError(
        f"{clamps[0].site} cannot be clamped: the module returns {type(output).__name__}, "
        "in which no units are found."
    )
