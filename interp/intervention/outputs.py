"""Clamping what a module returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from interp.errors import CaptureError
from interp.intervention.clamps import Clamp, Entries


def with_units(output: Any, clamps: Sequence[Clamp]) -> Any:
    """Return a module's output with units of its first tensor clamped.

    Parameters
    ----------
    output : Tensor, or tuple, list or mapping that holds one
        The tensor is (batch, ..., n_units).
    clamps : sequence of Clamp
        Of one site.

    Raises
    ------
    SelectionError
        If there is no such unit or row.
    CaptureError
        If the output holds no tensor with units.
    """
    if isinstance(output, Tensor) and output.ndim >= 1:
        whole = output if output.ndim > 1 else output[None]
        for clamp in clamps:
            clamp.check_units(whole.shape[-1])
        found = Entries.of(clamps, whole, len(whole)).put_in_sequence(whole)
        return found if output.ndim > 1 else found[0]
    if isinstance(output, tuple | list) and output and not isinstance(output, PackedSequence):
        first, *rest = output
        parts = [with_units(first, clamps), *rest]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    if isinstance(output, Mapping) and output:
        changed: Any = copy.copy(output)
        key = next(iter(output))
        changed[key] = with_units(output[key], clamps)
        return changed
    raise CaptureError(
        f"{clamps[0].site} cannot be clamped: the module returns {type(output).__name__}, "
        "in which no units are found."
    )
