"""Captured values in the type in which they are stored, refusing what it cannot hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from interp.errors import InterpError, StorageError, unknown_name

STORAGE_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Misfit:
    """The first value that cannot be stored.

    Attributes
    ----------
    row, step, unit : int
        Where it stands in the padded batch.
    value : float
        What the model computed.
    """

    row: int
    step: int
    unit: int
    value: float


def storage_dtype(name: str) -> torch.dtype:
    """Return torch's type of this name.

    Raises
    ------
    InterpError
        If recordings cannot be stored so.
    """
    if name not in STORAGE_DTYPES:
        raise InterpError(unknown_name("storage type", str(name), STORAGE_DTYPES))
    return STORAGE_DTYPES[name]


def refuse_complex(site: str, values: torch.Tensor) -> None:
    """Raise StorageError for complex values: their imaginary part would be lost."""
    if values.is_complex():
        raise StorageError(
            f"{site} gives {str(values.dtype).removeprefix('torch.')} values, and a recording "
            "holds real numbers. Choose other sites, or name real ones with interp.name_value in "
            "the model, such as the magnitude."
        )


def to_storage(
    values: torch.Tensor,
    dtype: torch.dtype,
    lengths: np.ndarray,
    allow_nonfinite: bool = False,
    out: torch.Tensor | None = None,
) -> tuple[np.ndarray, Misfit | None]:
    """Return `values` in the storage type on the CPU, and the first that does not fit.

    Parameters
    ----------
    values : Tensor (n_rows, n_steps, n_units)
        As captured; not modified.
    dtype : torch.dtype
        One of :data:`STORAGE_DTYPES`.
    lengths : ndarray (n_rows,)
        Real positions of each row; in the padding anything may stand.
    allow_nonfinite : bool
        Keep NaN and infinities that the model itself computed; they are then its values.
    out : Tensor (n_rows, n_steps, n_units), optional
        On the CPU, of type `dtype`; takes the values.
    """
    source = values.detach()
    if source.device.type != "cpu":
        # Convert first: half the bytes cross the bus.
        source = source.to(dtype).cpu()
    if out is None:
        # Never the model's own memory: it may use it again while the writer still waits.
        out = torch.empty(source.shape, dtype=dtype)
    stored = out.copy_(source)
    misfit = None
    if stored.numel():
        # Two numbers decide almost always, and in the storage type they are found five times as
        # fast. What does not fit has become infinite, and NaN makes both of them NaN; only then
        # is each value looked at.
        low, high = torch.aminmax(stored)
        if not (math.isfinite(float(low)) and math.isfinite(float(high))):
            misfit = _first_misfit(values.detach(), dtype, lengths, allow_nonfinite)
    return stored.numpy(), misfit


def overflow_message(site: str, misfit: Misfit, place: str, dtype: str) -> str:
    """Return what the user reads: site, unit, position, value, and what to do."""
    if not np.isfinite(misfit.value):
        return (
            f"{site}:{misfit.unit} is {misfit.value} at {place}: the model itself computed it. "
            "Look for the cause in weights and input, or keep such values with --nonfinite store."
        )
    limit = torch.finfo(STORAGE_DTYPES[dtype]).max
    wider = {"float16": "float32"}.get(dtype, "float64")
    return (
        f"{site}:{misfit.unit} is {misfit.value:.6g} at {place}, more than {dtype} can hold "
        f"(±{limit:.6g}). Record again with --dtype {wider} into another file."
    )


def _first_misfit(
    values: torch.Tensor, dtype: torch.dtype, lengths: np.ndarray, allow_nonfinite: bool
) -> Misfit | None:
    steps = torch.arange(values.shape[1], device=values.device)
    real = steps[None, :] < torch.as_tensor(lengths, device=values.device)[:, None]
    bad = ~values.to(dtype).isfinite() & real[:, :, None]
    if allow_nonfinite:
        bad &= values.isfinite()
    where = torch.nonzero(bad)
    if not len(where):
        return None
    row, step, unit = where[0].tolist()
    return Misfit(row, step, unit, float(values[row, step, unit]))
