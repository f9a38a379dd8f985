"""Batches of a DataLoader: moving, hashing, running, and the real length of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from interp.capture import Captured
from interp.errors import CaptureError, CorpusError
from interp.wording import kind_of

if TYPE_CHECKING:
    from interp.sites import SiteDescription


def run_forward(model: torch.nn.Module, batch: Any) -> Any:
    """Run a model on a batch that leaves no doubt how: a tensor, packed sequence or dictionary.

    Raises
    ------
    CorpusError
        If it does, as a tuple of inputs and targets.
    """
    if isinstance(batch, torch.Tensor | PackedSequence):
        return model(batch)
    if isinstance(batch, Mapping):
        return model(**batch)
    raise CorpusError(
        f"The corpus gives batches of type {type(batch).__name__}; say how the model takes them, "
        "such as forward=lambda model, batch: model(batch[0]). Text files are named by their path."
    )


def to_device(batch: Any, device: str) -> Any:
    """Return the batch with all its tensors on `device`."""
    if isinstance(batch, torch.Tensor | PackedSequence):
        movable: Any = batch  # torch's types know a packed sequence's to(dtype) only
        return movable.to(device)
    if isinstance(batch, Mapping):
        return {key: to_device(part, device) for key, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(part, device) for part in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(part, device) for part in batch)
    return batch


def batch_hash(batch: Any) -> str:
    """Return a hash of what a batch holds, by which a resumed run knows it again."""
    digest = hashlib.sha256()
    _update(digest.update, batch)
    return digest.hexdigest()


def _update(add: Callable[[bytes], None], part: Any) -> None:
    if isinstance(part, PackedSequence):
        part = [item for item in part if item is not None]
    if isinstance(part, torch.Tensor):
        plain = part.detach().cpu().contiguous()
        add(f"{plain.dtype}{tuple(plain.shape)}".encode())
        add(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    elif isinstance(part, np.ndarray):
        add(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    elif isinstance(part, Mapping):
        for key in part:
            add(repr(key).encode())
            _update(add, part[key])
    elif isinstance(part, tuple | list):
        add(f"{len(part)}".encode())
        for item in part:
            _update(add, item)
    elif isinstance(part, str | bytes | int | float | bool | type(None) | np.generic):
        add(repr(part).encode())
    elif held := getattr(part, "__dict__", None):  # a data class, a graph: what it holds
        add(type(part).__qualname__.encode())
        _update(add, held)


def agreed_lengths(
    batch: Any, captured: Mapping[str, Captured], sites: Mapping[str, Any], given: Any
) -> np.ndarray:
    """Return the real steps of each row, (n_rows,) int64, on which all sites agree.

    Parameters
    ----------
    batch : object
        What the model was run on.
    captured : mapping of str to Captured
        What was recorded.
    sites : mapping of str to SiteDescription
        What should have been.
    given : array-like or None
        What the caller says; see :func:`row_lengths` for what is found otherwise.

    Raises
    ------
    CaptureError
        If a site did not fire, has no shape for a recording, or has other rows or steps.
    CorpusError
        If the lengths do not fit.
    """
    if missing := [name for name in sites if name not in captured]:
        raise CaptureError(f"Site {missing[0]} fired on the first batch, not on a later one.")
    shapes = {name: tuple(part.values.shape) for name, part in captured.items()}
    for name, shape in shapes.items():
        if len(shape) != (3 if sites[name].per == "position" else 2):
            raise CaptureError(
                f"Site {name} has shape {shape}; sites of shape (batch, steps, n_units) or "
                "(batch, n_units) fit into a file. Choose others."
            )
    rows = {shape[0] for shape in shapes.values()}
    steps = {shape[1] for shape in shapes.values() if len(shape) == 3}
    if len(rows) != 1 or len(steps) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise CaptureError(f"Sites of one file must agree in batch and steps: {listed}.")
    n_rows = rows.pop()
    if not steps:
        return np.ones(n_rows, np.int64)
    if given is not None:
        return checked_lengths(given, n_rows, steps.pop())
    known = [part.lengths for part in captured.values() if part.lengths is not None]
    return row_lengths(batch, n_rows, steps.pop(), known[0] if known else None)


def row_lengths(batch: Any, n_rows: int, n_steps: int, captured: torch.Tensor | None) -> np.ndarray:
    """Return the real steps of each row, (n_rows,) int64.

    In this order: what the recorder saw (packed sequences); an entry ``"lengths"`` of a dictionary
    batch; its ``"attention_mask"``, padded at either side; else all steps are real. Everything
    else is what the caller's ``lengths=`` is for.

    Raises
    ------
    CorpusError
        If a row of a mask is not one run of ones, or lengths do not fit the steps.
    """
    if captured is not None:
        return captured.cpu().numpy().astype(np.int64)
    if isinstance(batch, Mapping):
        if "lengths" in batch:
            return checked_lengths(batch["lengths"], n_rows, n_steps)
        if "attention_mask" in batch:
            mask = _mask(batch)
            if mask.shape == (n_rows, n_steps):
                return as_mask(mask, "attention_mask")[0]
    return np.full(n_rows, n_steps, np.int64)


def row_offsets(batch: Any, n_rows: int, n_steps: int) -> np.ndarray:
    """Return the first real step of each row, (n_rows,) int64.

    0 unless the batch is a dictionary whose ``"attention_mask"``, and nothing before it in the
    order of :func:`row_lengths`, says that rows are padded at their beginning.
    """
    if isinstance(batch, Mapping) and "lengths" not in batch and "attention_mask" in batch:
        mask = _mask(batch)
        if mask.shape == (n_rows, n_steps):
            return mask.argmax(axis=1).astype(np.int64)
    return np.zeros(n_rows, np.int64)


def aligned(
    captured: Mapping[str, Captured], offsets_of: Callable[[str, int, int], np.ndarray]
) -> dict[str, Captured]:
    """Return what was captured with the real steps of each row first.

    Parameters
    ----------
    captured : mapping of str to Captured
    offsets_of : callable
        ``offsets_of(site, n_rows, n_steps)`` gives the first real step of each row, (n_rows,).
    """
    found = {}
    for name, part in captured.items():
        values = part.values
        if values.ndim == 3 and part.lengths is None:
            offsets = offsets_of(name, *values.shape[:2]).tolist()
            if any(offsets):
                rows = zip(values, offsets, strict=True)
                part = Captured(torch.stack([row.roll(-n, 0) for row, n in rows]))
        found[name] = part
    return found


def side_by_side(captured: Mapping[str, Captured]) -> dict[str, Captured]:
    """Return queries, keys, values and head outputs as (batch, steps, units of all heads)."""
    return {
        name: Captured(part.values.transpose(1, 2).flatten(2)) if part.values.ndim == 4 else part
        for name, part in captured.items()
    }


def with_units(
    sites: Mapping[str, SiteDescription], captured: Mapping[str, Captured]
) -> dict[str, SiteDescription]:
    """Return the descriptions of sites whose heads stand side by side."""
    return {
        name: replace(site, n_units=captured[name].values.shape[-1], per="position")
        if site.n_heads is not None
        else site
        for name, site in sites.items()
    }


def as_mask(mask: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the real steps of each row of a mask, and the first of them, (n_rows,) int64 each.

    Parameters
    ----------
    mask : ndarray (n_rows, n_steps) bool
    what : str
        What it is called, for messages.

    Raises
    ------
    CorpusError
        If a row is not one run of ones.
    """
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    if (np.count_nonzero(edges, axis=1) != 2).any():
        raise CorpusError(
            f"{what} has a row with padding between real steps, or with nothing else; pad at one "
            "side, or give lengths=lambda batch: ..."
        )
    return mask.sum(axis=1).astype(np.int64), mask.argmax(axis=1).astype(np.int64)


def batch_rows(batch: Any) -> int | None:
    """Return the rows of a batch by its first tensor; None if it has none."""
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else None
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if isinstance(parts, str | bytes) or not hasattr(parts, "__iter__"):
        return None
    found = (batch_rows(part) for part in parts)
    return next((n for n in found if n is not None), None)


def _mask(batch: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(torch.as_tensor(batch["attention_mask"]).cpu()) != 0


def checked_lengths(lengths: Any, n_rows: int, n_steps: int) -> np.ndarray:
    """Return lengths as (n_rows,) int64 between 1 and `n_steps`.

    Raises
    ------
    CorpusError
        If they are not.
    """
    try:
        given = np.asarray(torch.as_tensor(lengths).cpu()).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise CorpusError(
            f"Lengths are {kind_of(lengths)}; one number from 1 to the {n_steps} recorded steps is "
            f"needed for each of {n_rows} rows."
        ) from None
    fits = len(given) == n_rows and ((given >= 1) & (given <= n_steps)).all()
    if not fits or (given != np.floor(given)).any():
        raise CorpusError(
            f"Lengths {given.tolist()[:8]} do not fit {n_rows} rows of {n_steps} recorded steps: "
            "one whole number from 1 to the steps is needed for each row."
        )
    return given.astype(np.int64)
